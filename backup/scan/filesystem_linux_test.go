package scan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// /dev holds other file systems on every Linux (/dev/pts).
func TestWalkStaysOnOneFileSystem(t *testing.T) {
	device := func(path string) uint64 {
		info, err := os.Lstat(path)
		must(t, err)
		return StatOf(info).Device
	}
	if device("/dev") == device("/dev/pts") {
		t.Fatal("/dev/pts is no file system of its own here: name another")
	}
	w := &Walker{OneFileSystem: true}
	names, _ := walk(t, w, "/dev")
	mount := false
	for _, name := range names {
		mount = mount || name == "pts"
		if strings.HasPrefix(name, "pts/") {
			t.Errorf("%s was found", filepath.Join("/dev", name))
		}
	}
	if !mount || w.LeftOut == 0 {
		t.Error("the folder that is a mount point was not found", w.LeftOut)
	}
}
