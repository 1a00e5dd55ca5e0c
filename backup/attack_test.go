package backup

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/backup/chunk"
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

// endless is a file that never ends: somebody writes faster than we read.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.read += int64(len(b)); e.read > 1<<30 {
		return 0, io.ErrUnexpectedEOF
	}
	clear(b)
	return len(b), nil
}

func TestEndlessFileEnds(t *testing.T) {
	r := mustCreate(t, mem.New())
	b := &run{r: r, w: r.pack.NewWriter(t.Context())}
	defer b.w.Close()
	const limit = 3*chunk.FileBytes + 5
	ids, size, err := b.segments(&endless{}, limit, make([]byte, chunk.FileBytes))
	if err != nil || size != limit || len(ids) != 4 {
		t.Fatal(len(ids), size, err)
	}
	if ids, size, err := b.segments(bytes.NewReader([]byte("short")), limit, make([]byte, chunk.FileBytes)); err != nil || size != 5 || len(ids) != 1 {
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
