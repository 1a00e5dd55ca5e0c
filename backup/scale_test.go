package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom/store/dir"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// manyFiles makes n small files, a thousand in a folder.
func manyFiles(t *testing.T, root string, n int) {
	t.Helper()
	const perFolder = 1000
	for i := range n {
		folder := filepath.Join(root, fmt.Sprintf("%04d", i/perFolder))
		if i%perFolder == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("IMG-%08d.jpg", i)), fmt.Appendf(nil, "picture %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// liveBytes backs up a folder of n small files and gives what is live on the
// heap when all of them are done and the list is about to be written.
func liveBytes(t *testing.T, n int, again bool) (live int64, steps int) {
	t.Helper()
	root, state := filepath.Join(t.TempDir(), "media"), t.TempDir()
	manyFiles(t, root, n)
	st, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	if again {
		mustBackup(t, r, state, root)
	}
	before := heldBytes()
	report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: state, Progress: func(p Progress) {
		if steps++; p.Phase == PhaseFinish && live == 0 {
			live = heldBytes() - before
		}
	}})
	if err != nil || report.Files != n || live == 0 {
		t.Fatalf("%+v %v", report, err)
	}
	return live, steps
}

// fileBytesMax is what a file may cost in memory while a backup runs: its
// segment's place in the index, and what the packs in flight say of it. Its
// path, what the system says of it and what is remembered of it are on the disk.
const fileBytesMax = 256

// What a backup holds grows with the number of files by little each, whether
// they are new or known.
func TestMemoryOfManyFiles(t *testing.T) {
	n := soak.Size(2000, 500_000)
	const few = 500
	exactHeap(t)
	for _, again := range []bool{false, true} {
		small, _ := liveBytes(t, few, again)
		large, steps := liveBytes(t, n, again)
		each := (large - small) / int64(n-few)
		t.Logf("known before: %v: %d bytes for each file, %d progress reports", again, each, steps)
		if each > fileBytesMax {
			t.Errorf("known before: %v: %d bytes for each file, at most %d", again, each, fileBytesMax)
		}
	}
	soak.Tried(t, "P13", "small files in one backup", n, min(n, 2000))
}

// restoreFileBytesMax is what a file may cost in memory while a restore runs:
// its segment's place in the index, and whether it was there. All else is one
// batch, whatever the number of files.
const restoreFileBytesMax = 160

func TestMemoryOfRestoringManyFiles(t *testing.T) {
	const few = 500
	n := soak.Size(2000, 20_000)
	exactHeap(t)
	held := func(n int) (most int64) {
		root := filepath.Join(t.TempDir(), "media")
		manyFiles(t, root, n)
		st := mem.New()
		mustBackup(t, mustCreate(t, st), t.TempDir(), root)
		r, err := Open(t.Context(), st, testKey)
		if err != nil {
			t.Fatal(err)
		}
		before, words := heldBytes(), 0
		report, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{StateDir: t.TempDir(), goalsMax: few, Progress: func(p Progress) {
			if p.Phase == PhaseFinish && words == 0 {
				words, most = 1, heldBytes()-before
			}
		}})
		if err != nil || report.Files != n || words == 0 {
			t.Fatalf("%+v %v", report, err)
		}
		return most
	}
	small, large := held(few), held(n)
	each := (large - small) / int64(n-few)
	t.Logf("%d bytes for each file", each)
	soak.Tried(t, "P13", "small files in one restore", n, min(n, 2000))
	if each > restoreFileBytesMax {
		t.Errorf("%d bytes for each file, at most %d", each, restoreFileBytesMax)
	}
}
