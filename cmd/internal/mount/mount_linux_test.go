package mount

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"strongroom/backup"
	"strongroom/store/mem"
)

// stand is a repository that is mounted.
type stand struct {
	t     *testing.T
	repo  *backup.Repository
	st    *mem.Store
	dir   string
	stop  context.CancelFunc
	ended chan error
	mu    sync.Mutex
	notes []string // guarded by mu
}

func newStand(t *testing.T) *stand {
	s := &stand{t: t, st: mem.New(), dir: t.TempDir(), ended: make(chan error, 1)}
	repo, err := backup.Create(t.Context(), s.st, backup.Key{7})
	s.must(err)
	s.repo = repo
	return s
}

func (s *stand) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) backup(host, root, state string, when time.Time) string {
	s.t.Helper()
	report, err := s.repo.Backup(s.t.Context(), []string{root}, backup.BackupOptions{StateDir: state, Host: host, Now: func() time.Time { return when }})
	s.must(err)
	return report.Snapshot.ID
}

func (s *stand) mount() {
	s.t.Helper()
	repo, err := backup.Open(s.t.Context(), s.st, backup.Key{7})
	s.must(err)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	ready := make(chan int, 1)
	go func() {
		s.ended <- Run(ctx, repo, s.dir, func(n int) { ready <- n }, func(what string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.notes = append(s.notes, what)
		})
	}()
	select {
	case <-ready:
	case err := <-s.ended:
		s.t.Fatal("not mounted:", err)
	}
	s.t.Cleanup(s.unmount)
}

func (s *stand) unmount() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	if err := <-s.ended; err != nil {
		s.t.Error("unmount:", err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) > 0 {
		s.t.Error("still mounted:", left, err)
	}
}

// fill makes a tree with everything that a mount has to show.
func (s *stand) fill(root string, day int) {
	s.t.Helper()
	noise := func(n int) []byte {
		b := make([]byte, n)
		rand.NewChaCha8([32]byte{byte(day)}).Read(b)
		return b
	}
	s.must(os.MkdirAll(filepath.Join(root, "media", "deep"), 0o755))
	for name, content := range map[string][]byte{
		"empty": nil, "letter": []byte("a letter"), fmt.Sprint("media/", day, ".jpg"): noise(3<<20 + 77), "media/deep/odd\n\xff": noise(5000),
		"large": make([]byte, 70<<20), // more segments than an entry names itself
	} {
		path := filepath.Join(root, name)
		s.must(os.WriteFile(path, content, 0o640))
		s.must(os.Chtimes(path, time.Unix(1_600_000_000, 5), time.Unix(1_600_000_000, 5)))
	}
	s.must(os.Chmod(filepath.Join(root, "letter"), 0o000))
	if day == 1 {
		s.must(os.Symlink("media/1.jpg", filepath.Join(root, "link")))
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, "msgstore.db"))
	s.must(err)
	defer db.Close()
	for _, q := range []string{"CREATE TABLE IF NOT EXISTS m(id INTEGER PRIMARY KEY, v BLOB)",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<3000) INSERT INTO m(v) SELECT randomblob(500) FROM c",
		fmt.Sprintf("UPDATE m SET v = randomblob(300) WHERE id %% 50 = %d", day)} {
		_, err := db.Exec(q)
		s.must(err)
	}
}

// same compares two trees: names, types, modes, times, links, every byte.
func same(t *testing.T, want, got string) {
	t.Helper()
	things := map[string]int{}
	for i, root := range []string{want, got} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(root, path)
			things[rel] |= 1 << i
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(things) < 8 {
		t.Fatal("nothing to compare:", things)
	}
	for rel, in := range things {
		if in != 3 {
			t.Errorf("%q is in %d of 1 and 2", rel, in)
			continue
		}
		sameThing(t, rel, filepath.Join(want, rel), filepath.Join(got, rel))
	}
}

func sameThing(t *testing.T, rel, want, got string) {
	t.Helper()
	a, err1 := os.Lstat(want)
	b, err2 := os.Lstat(got)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if a.Mode() != b.Mode() && a.Mode()&fs.ModeSymlink == 0 || !a.ModTime().Equal(b.ModTime()) && a.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%q: %v %v instead of %v %v", rel, b.Mode(), b.ModTime(), a.Mode(), a.ModTime())
	}
	switch {
	case a.Mode()&fs.ModeSymlink != 0:
		x, err1 := os.Readlink(want)
		y, err2 := os.Readlink(got)
		if x != y || err1 != nil || err2 != nil {
			t.Errorf("%q leads to %q instead of %q", rel, y, x)
		}
	case a.Mode().IsRegular():
		x, err1 := os.ReadFile(want)
		y, err2 := os.ReadFile(got)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(x, y) || a.Size() != b.Size() {
			t.Errorf("%q: %d bytes instead of %d, %v", rel, len(y), len(x), err)
		}
	}
}

// What a mount shows is what a restore writes.
func TestMountShowsWhatARestoreWrites(t *testing.T) {
	s := newStand(t)
	home := t.TempDir()
	root, state := filepath.Join(home, "data"), filepath.Join(home, "state")
	when := time.Date(2026, 11, 24, 9, 0, 0, 0, time.Local)
	var ids []string
	for day := 1; day <= 2; day++ {
		s.fill(root, day)
		ids = append(ids, s.backup("phone", root, state, when.AddDate(0, 0, day)))
	}
	s.backup("../laptop", root, filepath.Join(home, "state2"), when)
	s.mount()
	restored := t.TempDir()
	for i, id := range ids[1:] {
		i++
		to := filepath.Join(restored, fmt.Sprint(i))
		if _, err := s.repo.Restore(t.Context(), id, to, backup.RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		shown := filepath.Join(s.dir, "phone", when.AddDate(0, 0, i+1).Format(timeForm))
		same(t, filepath.Join(to, "data"), filepath.Join(shown, "data"))
	}
	for _, latest := range []string{"latest", "phone/latest", ".._laptop/latest"} {
		if _, err := os.Stat(filepath.Join(s.dir, latest, "data", "media", "2.jpg")); err != nil {
			t.Error(err)
		}
	}
	tryToWrite(t, filepath.Join(s.dir, "latest", "data"))
	readAnywhere(t, filepath.Join(restored, "1", "data"), filepath.Join(s.dir, "latest", "data"))
	if len(s.notes) > 0 {
		t.Error(s.notes)
	}
}

func tryToWrite(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err == nil {
		t.Error("a file was made")
	}
	if f, err := os.OpenFile(filepath.Join(dir, "large"), os.O_RDWR, 0); err == nil {
		f.Close()
		t.Error("a file was opened for writing")
	}
	if err := os.Remove(filepath.Join(dir, "empty")); err == nil {
		t.Error("a file was removed")
	}
}

// readAnywhere reads parts of files at random places, by several at once.
func readAnywhere(t *testing.T, want, got string) {
	t.Helper()
	var all sync.WaitGroup
	for reader := range 4 {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(reader), 3))
			for range 50 {
				name := []string{"msgstore.db", "media/2.jpg", "large"}[rnd.IntN(3)]
				x, err1 := os.Open(filepath.Join(want, name))
				y, err2 := os.Open(filepath.Join(got, name))
				if err := errors.Join(err1, err2); err != nil {
					t.Error(err)
					return
				}
				info, _ := x.Stat()
				at := rnd.Int64N(info.Size() + 10)
				a, b := make([]byte, 1+rnd.IntN(10_000)), make([]byte, 0)
				n, _ := x.ReadAt(a, at)
				b = make([]byte, len(a))
				m, err := y.ReadAt(b, at)
				if n != m || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(a[:n], b[:m]) {
					t.Errorf("%s at %d: %d bytes instead of %d, %v", name, at, m, n, err)
				}
				x.Close()
				y.Close()
			}
		})
	}
	all.Wait()
}

// Damage is an error of the file that it hits, never wrong bytes.
func TestMountOfDamageGivesAnError(t *testing.T) {
	s := newStand(t)
	home := t.TempDir()
	root := filepath.Join(home, "data")
	s.fill(root, 1)
	s.backup("phone", root, filepath.Join(home, "state"), time.Now())
	flips := 0
	for o, err := range s.st.List(t.Context(), "p/") {
		s.must(err)
		if o.Size < 1<<20 {
			continue
		}
		b, err := s.st.Get(t.Context(), o.Name, 0, -1)
		s.must(err)
		b[len(b)/2] ^= 1
		s.must(s.st.Delete(t.Context(), o.Name))
		s.must(s.st.Put(t.Context(), o.Name, b))
		flips++
	}
	s.mount()
	refused := 0
	for _, name := range []string{"msgstore.db", "media/1.jpg", "empty", "large"} {
		want, err := os.ReadFile(filepath.Join(root, name))
		s.must(err)
		got, err := os.ReadFile(filepath.Join(s.dir, "latest", "data", name))
		if err != nil {
			refused++
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s: wrong bytes", name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if flips == 0 || refused == 0 || len(s.notes) == 0 || !strings.Contains(strings.Join(s.notes, "\n"), "p/") {
		t.Error(flips, refused, s.notes)
	}
}

func TestMountSaysWhyNot(t *testing.T) {
	s := newStand(t)
	full := t.TempDir()
	s.must(os.WriteFile(filepath.Join(full, "x"), nil, 0o600))
	for _, dir := range []string{full, filepath.Join(full, "x"), filepath.Join(full, "nowhere")} {
		err := Run(t.Context(), s.repo, dir, func(int) { t.Error("mounted at", dir) }, nil)
		if !errors.Is(err, ErrMount) || !strings.Contains(err.Error(), dir) {
			t.Error(err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := Run(t.Context(), s.repo, t.TempDir(), nil, nil); !errors.Is(err, ErrMount) || !strings.Contains(err.Error(), "fuse3") {
		t.Error(err)
	}
}
