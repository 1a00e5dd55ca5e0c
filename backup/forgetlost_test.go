package backup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/store/mem"
)

// loseManifest deletes both copies of a snapshot's manifest.
func loseManifest(t *testing.T, r *Repository, st *mem.Store, id string) {
	t.Helper()
	refs, _, err := r.pack.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		if !strings.HasPrefix(fmt.Sprintf("%x", ref.Snapshot), id) {
			continue
		}
		for _, suffix := range []string{"-a", "-b"} {
			if err := st.Delete(t.Context(), fmt.Sprintf("m/%x%s", ref.Manifest, suffix)); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	t.Fatal("no snapshot", id)
}

// A snapshot whose manifest is lost stops forget by rules and prune, until the
// person drops it by its name and says that it may be lost. Everything else
// stays whole; nothing is left of it.
func TestForgetOfALostSnapshot(t *testing.T) {
	for _, lose := range []int{0, 1, 2} { // the newest too
		root, state, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		r := mustCreate(t, st)
		var ids []string
		shadows := map[string]shadow{}
		for day := range 3 {
			if err := os.WriteFile(filepath.Join(root, "f"), noisy(byte(day)), 0o600); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, mustBackup(t, r, state, root).Snapshot.ID)
			shadows[ids[day]] = takeShadow(t, root)
		}
		lost := ids[lose]
		loseManifest(t, r, st, lost)
		before := countObjects(t, st, "")
		refuse := func(want error, opt ForgetOptions) {
			t.Helper()
			opt.StateDir = state
			if report, err := r.Forget(t.Context(), opt); !errors.Is(err, want) || len(report.Heads) > 0 {
				t.Fatalf("lost %d: %+v %v", lose, report, err)
			}
			if _, damage, err := r.Snapshots(t.Context()); err != nil || len(damage) != 2 || !strings.Contains(damage[0].What, lost) {
				t.Fatal("it is not named:", damage, err)
			}
		}
		refuse(ErrDamaged, ForgetOptions{Rules: KeepRules{Last: 1}})
		refuse(ErrDamaged, ForgetOptions{Rules: KeepRules{Last: 1}, Lost: true})
		refuse(ErrLost, ForgetOptions{Snapshots: []string{lost}})
		refuse(ErrSnapshot, ForgetOptions{Snapshots: []string{""}, Lost: true})
		refuse(nil, ForgetOptions{Snapshots: []string{lost}, Lost: true, DryRun: true})
		if _, err := r.Prune(t.Context(), PruneOptions{StateDir: state}); !errors.Is(err, ErrDamaged) {
			t.Fatal("prune:", err)
		}
		if n := countObjects(t, st, ""); n != before {
			t.Fatalf("%d objects, were %d", n, before)
		}

		report, err := r.Forget(t.Context(), ForgetOptions{StateDir: state, Snapshots: []string{lost}, Lost: true})
		if err != nil || report.Forgotten() != 1 || len(report.Heads) != 1 || len(report.Verdicts) != 3 {
			t.Fatalf("lost %d: %+v %v", lose, report, err)
		}
		if err := prunedToTheEnd(t, r, state); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, mustOpen(t, st))
		if n := countObjects(t, st, "m/"); n != 4 {
			t.Errorf("%d manifests", n)
		}
		for _, id := range ids {
			if id != lost {
				comesBack(t, r, id, shadows[id])
			}
		}
		if _, err := r.Forget(t.Context(), ForgetOptions{StateDir: state, Rules: KeepRules{Last: 1}}); err != nil {
			t.Fatal(err)
		}
	}
}

// prunedToTheEnd prunes until what is condemned is gone.
func prunedToTheEnd(t *testing.T, r *Repository, state string) error {
	for range 3 {
		if _, err := r.Prune(t.Context(), PruneOptions{StateDir: state, Host: "test"}); err != nil {
			return err
		}
	}
	return nil
}
