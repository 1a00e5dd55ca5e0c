package dir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// Where links do not work the rename must keep the same promise: of many that
// want one name, one gets it.
func TestRenameNew(t *testing.T) {
	folder := t.TempDir()
	target := filepath.Join(folder, "target")
	var won, lost atomic.Int32
	var group sync.WaitGroup
	for i := range 16 {
		temp := filepath.Join(folder, "temp-"+string(rune('a'+i)))
		if err := os.WriteFile(temp, []byte(temp), 0o600); err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			switch err := renameNew(temp, target); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, fs.ErrExist):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d won, %d lost; want 1 and 15", won.Load(), lost.Load())
	}
}
