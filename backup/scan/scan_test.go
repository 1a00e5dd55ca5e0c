package scan

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func walk(t *testing.T, w *Walker, root string) (names []string, warnings []Warning) {
	t.Helper()
	w.Found = func(n Node) error { names = append(names, n.Rel); return nil }
	w.Warn = func(x Warning) { warnings = append(warnings, x) }
	must(t, w.Walk(t.Context(), root))
	return names, warnings
}

// ... and in the order of lists, whatever comes before a slash.
func TestWalkFindsEverythingOnce(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"b", "a/x", "a/y/z", "a.b", "a-b/c", "a-b.d", "nl\nx", "\xff\xfe", ".hidden", "cache/drop", "keep/cache.txt", ".strongroom-0011.part", "state/s"} {
		write(t, filepath.Join(root, name), name)
	}
	must(t, os.Symlink("/nowhere", filepath.Join(root, "link")))
	socket, err := net.Listen("unix", filepath.Join(root, "sock"))
	must(t, err)
	defer socket.Close()
	w := &Walker{Exclude: Patterns{"cache", "a/y/*"}, Skip: []string{filepath.Join(root, "state")}}
	names, warnings := walk(t, w, root)
	want := []string{"", ".hidden", "a", "a/x", "a/y", "a-b", "a-b/c", "a-b.d", "a.b", "b", "keep", "keep/cache.txt", "link", "nl\nx", "\xff\xfe"}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].What, "socket") {
		t.Error(warnings)
	}
}

func TestWalkOfALinkAndOfNothing(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "data", "f"), "x")
	must(t, os.Symlink("data", filepath.Join(root, "link")))
	if names, _ := walk(t, &Walker{}, filepath.Join(root, "link")); !slices.Equal(names, []string{"", "f"}) {
		t.Error(names)
	}
	w := &Walker{Found: func(Node) error { return nil }, Warn: func(Warning) {}}
	if err := w.Walk(t.Context(), filepath.Join(root, "none")); !os.IsNotExist(err) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Walk(ctx, root); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestModesThereAndBack(t *testing.T) {
	for unix := range uint32(0o10000) {
		if got := unixMode(FileMode(unix)); got != unix {
			t.Fatalf("%o became %o", unix, got)
		}
	}
}

func open(t *testing.T, path string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	for _, s := range statements {
		_, err := db.Exec(s)
		must(t, err)
	}
	return db
}

func pages(t *testing.T, s *Snapshot) (all [][]byte) {
	t.Helper()
	must(t, s.Each(t.Context(), func(_ uint32, b []byte) error { all = append(all, slices.Clone(b)); return nil }))
	return all
}

// What a transaction saw stays what it sees, whatever is committed meanwhile.
func TestSnapshotStaysOneCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plain.db")
	db := open(t, path, "PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(20000))")
	s, err := OpenDatabase(t.Context(), path, time.Second)
	must(t, err)
	before := pages(t, s)
	_, err = db.Exec("UPDATE t SET x = randomblob(90000)")
	must(t, err)
	after := pages(t, s)
	if len(before) == 0 || !slices.EqualFunc(before, after, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("a snapshot changed under its reader")
	}
	numbers := []uint32{2, 5}
	must(t, s.Some(t.Context(), numbers, func(n uint32, b []byte) error {
		if string(b) != string(before[n-1]) {
			t.Error("page", n)
		}
		return nil
	}))
	must(t, s.Close())
	s, err = OpenDatabase(t.Context(), path, time.Second)
	must(t, err)
	if now := pages(t, s); len(now) <= len(before) {
		t.Error("the next snapshot does not see the commit")
	}
	must(t, s.Close())
}

func TestSnapshotOfAnOddName(t *testing.T) {
	folder := t.TempDir()
	plain, odd := filepath.Join(folder, "plain.db"), filepath.Join(folder, "odd ?mode=memory&#%41\xff name.db")
	open(t, plain, "CREATE TABLE t(x)", "INSERT INTO t VALUES(7)").Close()
	must(t, os.Rename(plain, odd))
	s, err := OpenDatabase(t.Context(), odd, time.Second)
	must(t, err)
	want, err := os.ReadFile(odd)
	must(t, err)
	if got := slices.Concat(pages(t, s)...); string(got) != string(want) {
		t.Error("the pages are not those of the file")
	}
	must(t, s.Close())
}

func TestSnapshotRefuses(t *testing.T) {
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole.db")
	open(t, whole, "CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(30000))").Close()
	b, err := os.ReadFile(whole)
	must(t, err)
	write(t, filepath.Join(folder, "cut.db"), string(b[:len(b)/2]))
	write(t, filepath.Join(folder, "noise.db"), magic+strings.Repeat("noise", 2000))
	for _, name := range []string{"cut.db", "noise.db", "none.db"} {
		s, err := OpenDatabase(t.Context(), filepath.Join(folder, name), 100*time.Millisecond)
		if err == nil {
			err = s.Each(t.Context(), func(uint32, []byte) error { return nil })
			s.Close()
		}
		if !errors.Is(err, ErrDatabase) {
			t.Error(name, err)
		}
	}
	held := open(t, whole, "BEGIN EXCLUSIVE")
	if _, err := OpenDatabase(t.Context(), whole, 50*time.Millisecond); !errors.Is(err, ErrDatabase) || !strings.Contains(err.Error(), "locked") {
		t.Error("a writer that never lets go:", err)
	}
	held.Close()
}

// A WAL database that nobody has open, where SQLite may make no files.
func TestFrozenDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.db")
	db := open(t, path, "PRAGMA journal_mode=wal", "CREATE TABLE t(x)", "INSERT INTO t VALUES(1)")
	must(t, db.Close())
	info, err := os.Stat(path)
	must(t, err)
	seen := StatOf(info)
	s, err := begin(t.Context(), path, "mode=ro&immutable=1")
	must(t, err)
	s.seen = &seen
	if len(pages(t, s)) != int(s.Pages) || s.Pages == 0 {
		t.Error(s.Pages)
	}
	open(t, path, "INSERT INTO t VALUES(2)") // somebody came after all
	if err := s.Close(); !errors.Is(err, ErrReadOnly) {
		t.Error("a change under an immutable reader was not seen:", err)
	}
}

func TestOpenTellsDatabases(t *testing.T) {
	folder := t.TempDir()
	db := filepath.Join(folder, "a.db")
	open(t, db, "CREATE TABLE t(x)").Close()
	for name, want := range map[string]bool{"a.db": true, "short": false, "text": false} {
		if name != "a.db" {
			write(t, filepath.Join(folder, name), map[string]string{"short": magic, "text": strings.Repeat("x", 4096)}[name])
		}
		f, database, err := Open(filepath.Join(folder, name))
		must(t, err)
		if database != want {
			t.Error(name, database)
		}
		must(t, f.Close())
	}
	must(t, os.Symlink("a.db", filepath.Join(folder, "link")))
	if _, _, err := Open(filepath.Join(folder, "link")); err == nil {
		t.Error("a link was opened as a file")
	}
}

// A database's descriptor is opened once, stays, and goes when its last name
// is gone.
func TestHeldDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	open(t, path, "CREATE TABLE t(x)").Close()
	count := func() (n int) {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		for _, e := range entries {
			if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, path) {
				n++
			}
		}
		return n
	}
	for range 5 {
		f, _, err := Open(path)
		must(t, err)
		must(t, f.Close())
	}
	if n := count(); n != 1 {
		t.Fatal(n, "descriptors")
	}
	must(t, os.Remove(path))
	other := filepath.Join(t.TempDir(), "b.db")
	open(t, other, "CREATE TABLE t(x)").Close()
	_, _, err := Open(other)
	must(t, err)
	if n := count(); n != 0 {
		t.Fatal(n, "descriptors of a file that is gone")
	}
}

func TestRacy(t *testing.T) {
	const now = 1_000_000_000_000
	if !(Stat{ModNanos: now - 1e9}).Racy(now) || !(Stat{ChangeNanos: now + 1}).Racy(now) || (Stat{ModNanos: now - 3e9}).Racy(now) {
		t.Error("the rule of two seconds")
	}
}
