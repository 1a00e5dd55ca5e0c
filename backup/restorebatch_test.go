package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/mem"
)

// A restore in many batches is the restore in one: the same tree, the same
// report, nothing written where something is in the way, and what is there
// stays.
func TestRestoreInBatches(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	newTree(t, root, 60)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(root, "a-twice"), []byte("one file"), 0o600))
	must(os.Link(filepath.Join(root, "a-twice"), filepath.Join(root, "zz-twice")))
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	held := takeShadow(t, root)
	whole, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{Verify: true})
	must(err)
	for _, goals := range []int{1, 2, 7} {
		target, state := t.TempDir(), t.TempDir()
		got, err := r.Restore(t.Context(), whole.Snapshot.ID, target, RestoreOptions{Verify: true, StateDir: state, goalsMax: goals})
		must(err)
		got.Elapsed, whole.Elapsed = 0, 0
		if fmt.Sprint(got) != fmt.Sprint(whole) {
			t.Errorf("%d: %+v, in one batch %+v", goals, got, whole)
		}
		wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
		one, err := os.Stat(filepath.Join(target, "data", "a-twice"))
		must(err)
		two, err := os.Stat(filepath.Join(target, "data", "zz-twice"))
		must(err)
		if !os.SameFile(one, two) {
			t.Errorf("%d: two files of one", goals)
		}
		changeSeen(t, r, state, func(f *seen) { f.Racy = false })
		if b := mustBackup(t, r, state, filepath.Join(target, "data")); b.FilesNew != 0 {
			t.Errorf("%d: the state knows all but %d files", goals, b.FilesNew)
		}
		again, err := r.Restore(t.Context(), whole.Snapshot.ID, target, RestoreOptions{goalsMax: goals})
		must(err)
		if again.Files != 0 || again.FilesKept != whole.Files {
			t.Errorf("%d: %+v", goals, again)
		}
		must(os.WriteFile(filepath.Join(target, "data", "zz-twice"), []byte("in the way"), 0o600))
		must(os.Remove(filepath.Join(target, "data", "a-twice")))
		if _, err := r.Restore(t.Context(), whole.Snapshot.ID, target, RestoreOptions{goalsMax: goals}); !errors.Is(err, ErrDiffers) {
			t.Errorf("%d: %v", goals, err)
		}
		if _, err := os.Stat(filepath.Join(target, "data", "a-twice")); err == nil {
			t.Errorf("%d: written before all was looked at", goals)
		}
	}
}

// busy counts what is asked of a storage between two words of progress.
type busy struct {
	store.Store
	calls atomic.Int64
	most  atomic.Int64
}

func (b *busy) call() {
	n := b.calls.Add(1)
	for old := b.most.Load(); n > old && !b.most.CompareAndSwap(old, n); old = b.most.Load() {
	}
}

func (b *busy) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	b.call()
	return b.Store.Get(ctx, name, offset, length)
}

func (b *busy) Put(ctx context.Context, name string, data []byte) error {
	b.call()
	return b.Store.Put(ctx, name, data)
}

func (b *busy) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range b.Store.List(ctx, prefix) {
			b.call()
			if !yield(info, err) {
				return
			}
		}
	}
}

// Progress never stands still: between two words of it a backup and a restore
// do a bounded piece of work, in every phase, however much there is to do.
func TestProgressNeverStandsStill(t *testing.T) {
	const days, files = 18, 20 // each day leaves a pack, an index object and heads to be read
	const callsMax = 22        // claim, header and heads, which are few whatever there is
	root, state := filepath.Join(t.TempDir(), "data"), t.TempDir()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	st := &busy{Store: mem.New()}
	r := mustCreate(t, st)
	phases := map[string]int{}
	words, done := 0, 0
	word := func(p Progress) {
		st.calls.Store(0)
		words++
		phases[p.Phase]++
		if p.FilesDone > done+1 {
			t.Errorf("%d files at once", p.FilesDone-done)
		}
		done = p.FilesDone
	}
	began := time.Unix(1e9, 0)
	for day := range days {
		for i := range files {
			if err := os.WriteFile(filepath.Join(root, fmt.Sprintf("%d-%d", day, i)), fmt.Append(nil, day, i), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		done = 0
		_, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: state, Progress: word, tellAll: true, Now: func() time.Time { return began.AddDate(0, 0, day) }})
		if err != nil {
			t.Fatal(err)
		}
		st.calls.Store(0)
	}
	for _, phase := range []string{PhaseScan, PhaseFiles, PhaseFinish} {
		if phases[phase] < days {
			t.Errorf("%d words in phase %s", phases[phase], phase)
		}
	}
	most := st.most.Load()
	t.Logf("%d calls, %d words", most, words)
	if most > callsMax || words < 2*days*files {
		t.Errorf("backup: %d calls to the storage without a word, %d words", most, words)
	}
	st.most.Store(0)
	clear(phases)
	done = 0
	_, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{Progress: word, tellAll: true, Verify: true, goalsMax: 100, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range []string{PhaseScan, PhaseFiles, PhaseFinish, PhaseCheck} {
		if phases[phase] == 0 {
			t.Errorf("no word in phase %s", phase)
		}
	}
	if most = st.most.Load(); most > callsMax {
		t.Errorf("restore: %d calls to the storage without a word", most)
	}
}
