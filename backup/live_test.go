package backup

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// reaches waits until the writer has said that it committed n times.
func (w *writer) reaches(t *testing.T, n int64) {
	t.Helper()
	for w.counter.Load() < n {
		select {
		case <-w.exited:
			t.Fatal("the writer gave up")
		default:
			runtime.Gosched()
		}
	}
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
				w.reaches(t, w.counter.Load()+30) // the writer goes on
				before := w.counter.Load()
				report := mustBackup(t, r, stateDir, root)
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
				if n <= last || int64(n) < before {
					t.Fatalf("counter %d after %d, and the writer was at %d", n, last, before)
				}
				w.reaches(t, int64(n)) // what it says comes later than its commits
				last = n
			}
			if changed == 0 {
				t.Fatal("nothing ever changed")
			}
			mustCheck(t, r)
		})
	}
}
