package backup

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/store/mem"
)

// Attack: a setuid copy of a shell goes through root's backup and comes back
// as root's own.
func TestRestoreLendsNobodysRights(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "home"), mem.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "shared"), 0o755))
	must(os.WriteFile(filepath.Join(root, "shell"), []byte("#!/bin/sh"), 0o755))
	must(os.Chmod(filepath.Join(root, "shell"), 0o755|os.ModeSetuid|os.ModeSetgid))
	must(os.Chmod(filepath.Join(root, "shared"), 0o770|os.ModeSetgid|os.ModeSticky))
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	target := t.TempDir()
	for _, round := range []string{"new", "there already"} {
		report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
		must(err)
		shell, err := os.Stat(filepath.Join(target, "home", "shell"))
		must(err)
		shared, err := os.Stat(filepath.Join(target, "home", "shared"))
		must(err)
		if shell.Mode() != 0o755 || shared.Mode() != os.ModeDir|0o770|os.ModeSetgid|os.ModeSticky {
			t.Errorf("%s: %v, %v", round, shell.Mode(), shared.Mode())
		}
		if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0].Path, "home/shell") {
			t.Errorf("%s: %v", round, report.Warnings)
		}
		must(os.Chmod(filepath.Join(target, "home", "shell"), 0o755|os.ModeSetuid))
	}
}

func (e *endless) SkipHole(int64) bool { return false }

// endless is a file that never ends: somebody writes faster than we read.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.read += int64(len(b)); e.read > 1<<30 {
		return 0, io.ErrUnexpectedEOF
	}
	clear(b)
	return len(b), nil
}

// solid is a file without holes.
type solid struct{ io.Reader }

func (solid) SkipHole(int64) bool { return false }

func TestEndlessFileEnds(t *testing.T) {
	r := mustCreate(t, mem.New())
	b := &run{r: r, w: r.pack.NewWriter(t.Context())}
	defer b.w.Close()
	const limit = 3*chunk.FileBytes + 5
	ids, size, err := b.segments(&endless{}, limit, 0, make([]byte, chunk.FileBytes))
	if err != nil || size != limit || len(ids) != 4 {
		t.Fatal(len(ids), size, err)
	}
	if ids, size, err := b.segments(solid{bytes.NewReader([]byte("short"))}, limit, 0, make([]byte, chunk.FileBytes)); err != nil || size != 5 || len(ids) != 1 {
		t.Fatal(len(ids), size, err)
	}
}

// A person who names a backup that is damaged hears of the damage, not that
// there is no such backup.
func TestNamedSnapshotThatIsDamagedIsDamage(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	id := mustBackup(t, r, t.TempDir(), root).Snapshot.ID
	gone := 0
	for o, err := range st.List(t.Context(), "m/") {
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Delete(t.Context(), o.Name); err != nil {
			t.Fatal(err)
		}
		gone++
	}
	for _, name := range []string{"latest", id} {
		_, err := r.Restore(t.Context(), name, t.TempDir(), RestoreOptions{})
		if gone != 2 || len(damagesIn(err)) == 0 && !strings.Contains(err.Error(), "m/") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// insider writes a snapshot of these entries, as another device of the person,
// taken over, can: it has K.
func insider(t *testing.T, r *Repository, roots []string, entries ...*pack.Entry) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := r.pack.NewWriter(t.Context())
	defer w.Close()
	content := []byte("stolen")
	id := r.pack.SegmentID(pack.KindFile, content)
	_, err := w.Add(pack.KindFile, id, content)
	must(err)
	refs, err := w.AddRefs([]pack.ID{id})
	must(err)
	m := &pack.Manifest{Snapshot: pack.SnapshotID{9}, TimeNanos: 1, Device: pack.DeviceID{7}, Roots: roots}
	list := w.NewList()
	for _, e := range entries {
		if e.Kind == pack.EntryFile {
			e.Size, e.Content = int64(len(content)), &refs
		}
		e.Mode = 0o777
		must(list.Add(e))
	}
	must(list.Finish(m))
	result, err := w.Finish()
	must(err)
	ref, err := r.pack.PutManifest(t.Context(), m)
	must(err)
	_, err = r.pack.PutHead(t.Context(), pack.Head{Device: m.Device, Sequence: 1, Snapshots: []pack.SnapshotRef{ref}, Indexes: result.Indexes})
	must(err)
}

// Attack: a snapshot in which a link and a file below it have one path, or
// whose roots have names that lead elsewhere. Whatever the restore says,
// nothing is written outside its target.
func TestInsiderWritesNothingOutside(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	dir := func(path string) *pack.Entry { return &pack.Entry{Kind: pack.EntryDir, Path: path} }
	file := func(path string) *pack.Entry { return &pack.Entry{Kind: pack.EntryFile, Path: path} }
	link := func(path, to string) *pack.Entry { return &pack.Entry{Kind: pack.EntrySymlink, Path: path, Link: to} }
	for name, c := range map[string]struct {
		roots   []string
		entries []*pack.Entry
	}{
		"no attack":           {[]string{"/r"}, []*pack.Entry{dir(""), file("b")}},
		"below a link":        {[]string{"/r"}, []*pack.Entry{dir(""), link("a", outside), file("a/b")}},
		"below a link up":     {[]string{"/r"}, []*pack.Entry{dir(""), link("a", "../../outside"), dir("a/b"), file("a/b/c")}},
		"the root is a link":  {[]string{"/r"}, []*pack.Entry{link("", outside), file("b")}},
		"a root that is ..":   {[]string{"/r/.."}, []*pack.Entry{file("")}},
		"a root that is ../x": {[]string{"../outside"}, []*pack.Entry{dir(""), file("b")}},
		"an odd root":         {[]string{"a\x00b"}, []*pack.Entry{file("")}},
		"no such root":        {nil, []*pack.Entry{file("")}},
		"an empty root":       {[]string{""}, []*pack.Entry{dir(""), file("b")}},
	} {
		r := mustCreate(t, mem.New())
		insider(t, r, c.roots, c.entries...)
		for _, overwrite := range []bool{false, true, true} {
			target := filepath.Join(base, "target")
			if err := os.MkdirAll(outside, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Overwrite: overwrite})
			b, _ := os.ReadFile(filepath.Join(target, "r", "b"))
			if good := string(b) == "stolen"; name == "no attack" && (err != nil || !good) {
				t.Fatalf("the insider's snapshots do not restore at all: %v", err)
			}
			if entries, _ := os.ReadDir(outside); len(entries) > 0 {
				t.Fatalf("%s: %v written outside the target, %v", name, entries, err)
			}
			if entries, _ := os.ReadDir(base); len(entries) > 2 {
				t.Fatalf("%s: %v beside the target, %v", name, entries, err)
			}
		}
		os.RemoveAll(filepath.Join(base, "target"))
	}
}
