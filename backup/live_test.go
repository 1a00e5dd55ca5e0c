package backup

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"strongroom/store/mem"
)

// writer is another process that commits all the time.
type writer struct {
	counter atomic.Int64
	exited  chan struct{}
}

func startWriter(t *testing.T, path, mode string) *writer {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], path, mode)
	c.Env = append(os.Environ(), roleVariable+"=writer")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w := &writer{exited: make(chan struct{})}
	lines := make(chan string, 1)
	go func() {
		defer close(w.exited)
		in := bufio.NewScanner(out)
		for in.Scan() {
			n, err := strconv.ParseInt(in.Text(), 10, 64)
			if err != nil {
				t.Error("the writer says:", in.Text())
				continue
			}
			if w.counter.Swap(n) == 0 {
				lines <- in.Text()
			}
		}
	}()
	t.Cleanup(func() { c.Process.Kill(); <-w.exited; c.Wait() })
	select {
	case <-lines:
	case <-w.exited:
		t.Fatal("the writer wrote nothing")
	}
	return w
}

// A database that another process writes without a pause comes back as one
// commit, and the writer is not stopped.
func TestLiveDatabaseIsOneCommit(t *testing.T) {
	for _, mode := range []string{"wal", "delete", "truncate"} {
		t.Run(mode, func(t *testing.T) {
			root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
			if err := os.MkdirAll(root, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(root, "msgstore.db")
			w := startWriter(t, path, mode)
			r := mustCreate(t, st)
			last, changed := 0, int64(0)
			for range 8 {
				before := w.counter.Load()
				for w.counter.Load() < before+30 { // the writer goes on
					select {
					case <-w.exited:
						t.Fatal("the writer gave up")
					default:
					}
				}
				before = w.counter.Load()
				report := mustBackup(t, r, stateDir, root)
				after := w.counter.Load()
				if report.Databases != 1 {
					t.Fatalf("%+v", report)
				}
				changed += report.PagesChanged
				target := mustRestore(t, r, "latest", "")
				for _, name := range []string{"data/msgstore.db-wal", "data/msgstore.db-journal", "data/msgstore.db-shm"} {
					if _, err := os.Lstat(filepath.Join(target, name)); !os.IsNotExist(err) {
						t.Fatal(name, "was restored:", err)
					}
				}
				n := checkCounters(t, filepath.Join(target, "data", "msgstore.db"))
				if n <= last || int64(n) < before || int64(n) > after+1 {
					t.Fatalf("counter %d after %d, while the writer went from %d to %d", n, last, before, after)
				}
				last = n
			}
			if changed == 0 {
				t.Fatal("nothing ever changed")
			}
			mustCheck(t, r)
		})
	}
}
