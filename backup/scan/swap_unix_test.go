//go:build unix

package scan

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Attack: a file becomes a pipe, or a link to another's file, between the look
// at it and its opening.
func TestFileSwappedBeforeItsOpening(t *testing.T) {
	folder := t.TempDir()
	for name, swap := range map[string]func(path string) error{
		"pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link": func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		path := filepath.Join(folder, name)
		write(t, path, "x")
		betweenLookAndOpen = func() {
			must(t, os.Remove(path))
			must(t, swap(path))
		}
		said := make(chan error, 1)
		go func() {
			f, _, err := Open(path)
			if err == nil {
				f.Close()
			}
			said <- err
		}()
		select {
		case err := <-said:
			if err == nil {
				t.Errorf("a %s was opened", name)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("a %s holds the backup for ever", name)
		}
		betweenLookAndOpen = func() {}
	}
}
