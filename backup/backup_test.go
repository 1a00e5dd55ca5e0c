package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/mem"
)

func mustCreate(t testing.TB, st store.Store) *Repository {
	t.Helper()
	r, err := Create(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBackup(t testing.TB, r *Repository, stateDir string, paths ...string) BackupReport {
	t.Helper()
	report, err := r.Backup(t.Context(), paths, BackupOptions{StateDir: stateDir, Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Warnings) > 0 {
		t.Fatal(report.Warnings)
	}
	return report
}

func mustRestore(t testing.TB, r *Repository, snapshot, stateDir string) string {
	t.Helper()
	target := t.TempDir()
	if _, err := r.Restore(t.Context(), snapshot, target, RestoreOptions{StateDir: stateDir}); err != nil {
		t.Fatal(err)
	}
	return target
}

// wantRestored restores a snapshot, compares it with what there was, and takes
// what was restored away again: a long run restores thousands.
func wantRestored(t testing.TB, r *Repository, snapshot string, want shadow) {
	t.Helper()
	target := mustRestore(t, r, snapshot, "")
	wantSame(t, want, takeShadow(t, filepath.Join(target, "data")))
	if err := os.RemoveAll(target); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, r *Repository) {
	t.Helper()
	report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
	if err != nil || len(report.Damages) > 0 || report.Objects == 0 {
		t.Fatal(report, err)
	}
}

func storedBytes(t testing.TB, st store.Store, prefix string) (total int64) {
	t.Helper()
	for o, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		total += o.Size
	}
	return total
}

// P13: what is restored is what there was, whatever was killed.
func TestRestoredIsWhatThereWas(t *testing.T) {
	snapshots, kills, restores := 60, 20, 12
	if raceEnabled {
		snapshots, kills, restores = 12, 4, 4
	}
	const seed = 20261123
	rnd := rand.New(rand.NewPCG(seed, 1))
	home, repo := t.TempDir(), t.TempDir()
	root, stateDir := filepath.Join(home, "data"), filepath.Join(home, "state")
	st, err := dir.Open(repo)
	if err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	x := newTree(t, root, seed)
	shadows := map[string]shadow{}
	killed := 0
	for i := range snapshots {
		for range 1 + rnd.IntN(10) {
			x.edit()
		}
		if i%3 == 1 && killed < kills {
			before, held := count(t, r), takeShadow(t, root)
			died := killBackup(t, repo, stateDir, root, rnd)
			killed += died
			if now := count(t, r); now != before && now != before+1 {
				t.Fatalf("%d snapshots became %d by a kill", before, now)
			} else if now == before+1 {
				shadows[latest(t, r)] = held
			}
		}
		held := takeShadow(t, root)
		shadows[mustBackup(t, r, stateDir, root).Snapshot.ID] = held
	}
	if killed != kills {
		t.Fatalf("%d kills instead of %d", killed, kills)
	}
	mustCheck(t, r)
	infos, _, err := r.Snapshots(t.Context())
	if err != nil || len(infos) < snapshots || len(infos) != len(shadows) {
		t.Fatal(len(infos), len(shadows), err)
	}
	for _, i := range rnd.Perm(len(infos))[:restores] {
		wantRestored(t, r, infos[i].ID, shadows[infos[i].ID])
	}
}

// killBackup runs a backup in a process that dies at one of its first puts;
// 1 if it did, 0 if it had so little to send that it came to its end.
func killBackup(t *testing.T, repo, stateDir, root string, rnd *rand.Rand) int {
	t.Helper()
	cut := fmt.Sprintf("%s%d", []string{"-", "+"}[rnd.IntN(2)], 1+rnd.IntN(6))
	c := exec.CommandContext(t.Context(), os.Args[0], repo, stateDir, cut, "killed", root)
	c.Env = append(os.Environ(), roleVariable+"=backup")
	out, err := c.CombinedOutput()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %s", err, out)
	}
	if err == nil {
		return 0
	}
	return 1
}

func count(t *testing.T, r *Repository) int {
	t.Helper()
	infos, damage, err := r.Snapshots(t.Context())
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	return len(infos)
}

func latest(t *testing.T, r *Repository) string {
	t.Helper()
	infos, _, err := r.Snapshots(t.Context())
	if err != nil || len(infos) == 0 {
		t.Fatal(infos, err)
	}
	return infos[len(infos)-1].ID
}

func TestKilledBackupGoesOnWhereItStopped(t *testing.T) {
	const fileBytes, files = 3 << 20, 20
	root, repo, stateDir := t.TempDir(), t.TempDir(), t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	x := &tree{t: t, root: root, rnd: rnd}
	st, err := dir.Open(repo)
	if err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	x.must(os.WriteFile(filepath.Join(root, "first"), []byte("so that there is a head"), 0o600))
	mustBackup(t, r, stateDir, root)
	for i := range files {
		b := make([]byte, fileBytes) // nothing that compresses
		rand.NewChaCha8([32]byte{byte(i)}).Read(b)
		x.must(os.WriteFile(filepath.Join(root, fmt.Sprint(i)), b, 0o600))
	}
	c := exec.CommandContext(t.Context(), os.Args[0], repo, stateDir, "-6", "killed", root)
	c.Env = append(os.Environ(), roleVariable+"=backup")
	if out, err := c.CombinedOutput(); err == nil {
		t.Fatalf("not killed: %s", out)
	}
	landed := storedBytes(t, st, "p/")
	if landed < 2*4<<20 {
		t.Fatalf("only %d bytes landed before the kill", landed)
	}
	report := mustBackup(t, r, stateDir, root)
	total := storedBytes(t, st, "p/")
	const whole = fileBytes * files
	if report.BytesSent > whole-landed+whole/20 || total > whole+whole/20 {
		t.Fatalf("%d bytes landed, then %d were sent, %d are stored for %d", landed, report.BytesSent, total, whole)
	}
	mustCheck(t, r)
	target := mustRestore(t, r, "latest", "")
	wantSame(t, takeShadow(t, root), takeShadow(t, filepath.Join(target, filepath.Base(root))))
}

func TestUnchangedSendsNothing(t *testing.T) {
	root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	newTree(t, root, 3)
	r := mustCreate(t, st)
	mustBackup(t, r, stateDir, root)
	mustBackup(t, r, stateDir, root) // SQLite left empty logs: folders have new times
	before := storedBytes(t, st, "")
	report := mustBackup(t, r, stateDir, root)
	grown := storedBytes(t, st, "") - before // manifest, its copy, head
	if report.PacksSent != 0 || report.BytesSent != grown || grown > 16<<10 || report.PagesChanged != 0 || report.FilesNew != 0 || report.FilesChanged != 0 {
		t.Fatalf("%+v", report)
	}
}

func TestRestoredPlaceSendsNothingAgain(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	newTree(t, root, 4)
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	before := storedBytes(t, st, "p/")
	stateDir := t.TempDir()
	target := mustRestore(t, r, "latest", stateDir)
	report := mustBackup(t, r, stateDir, filepath.Join(target, "data"))
	if sent := storedBytes(t, st, "p/") - before; sent > 64<<10 || report.PagesChanged != 0 || report.Databases == 0 {
		t.Fatalf("%d bytes of packs, %+v", sent, report)
	}
}

func TestRestoreDoesNotTouchOtherFiles(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	x := newTree(t, root, 5)
	x.must(os.WriteFile(filepath.Join(root, "mine"), []byte("old"), 0o600))
	x.database(filepath.Join(root, "msgstore.db"))
	want := takeShadow(t, root)
	r := mustCreate(t, st)
	stateDir := t.TempDir()
	mustBackup(t, r, stateDir, root)
	target := mustRestore(t, r, "latest", "")
	again := filepath.Join(target, "data")

	database, err := os.ReadFile(filepath.Join(again, "msgstore.db"))
	x.must(err)
	database[len(database)-1] ^= 1
	x.must(os.WriteFile(filepath.Join(again, "msgstore.db"), database, 0o600))
	if _, err := r.Restore(t.Context(), "latest", target, RestoreOptions{}); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "data/msgstore.db") {
		t.Fatal(err)
	}
	x.must(os.WriteFile(filepath.Join(again, "mine"), []byte("new work"), 0o600))
	x.must(os.Remove(filepath.Join(again, "msgstore.db")))
	before := takeShadow(t, target)
	_, err = r.Restore(t.Context(), "latest", target, RestoreOptions{})
	if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "data/mine") {
		t.Fatal(err)
	}
	wantSame(t, before, takeShadow(t, target))

	x.must(os.WriteFile(filepath.Join(again, "msgstore.db-wal"), []byte("the log of another database"), 0o600))
	if _, err := r.Restore(t.Context(), "latest", target, RestoreOptions{}); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "data/msgstore.db") {
		t.Fatal(err)
	}
	report, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Overwrite: true})
	if err != nil || report.Files != 2 || report.FilesKept == 0 {
		t.Fatalf("%+v %v", report, err)
	}
	if _, err := os.Lstat(filepath.Join(again, "msgstore.db-wal")); !os.IsNotExist(err) {
		t.Fatal("a foreign log was left beside a restored database:", err)
	}
	wantSame(t, want, takeShadow(t, again))
}

func TestRestoreFollowsNoLinkOut(t *testing.T) {
	root, outside, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	newTree(t, root, 6)
	if err := os.MkdirAll(filepath.Join(root, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "sub", "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	target := t.TempDir()
	if err := os.MkdirAll(filepath.Join(target, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(target, "data", "sub")); err != nil {
		t.Fatal(err)
	}
	for _, overwrite := range []bool{false, true} {
		_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Overwrite: overwrite})
		if entries, _ := os.ReadDir(outside); len(entries) > 0 {
			t.Fatal("written outside the target:", entries, err)
		}
		if !overwrite && err == nil {
			t.Fatal("a link in place of a folder was taken for it")
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	st := mem.New()
	if _, err := Open(t.Context(), st, testKey); !errors.Is(err, ErrNoRepository) {
		t.Error(err)
	}
	r := mustCreate(t, st)
	if _, err := Open(t.Context(), st, Key{9}); !errors.Is(err, ErrWrongKey) {
		t.Error(err)
	}
	if _, err := Create(t.Context(), st, testKey); !errors.Is(err, ErrRepository) {
		t.Error(err)
	}
	if _, err := r.Backup(t.Context(), []string{"/nonexistent/folder"}, BackupOptions{StateDir: t.TempDir()}); !errors.Is(err, ErrPath) {
		t.Error(err)
	}
	if _, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{}); !errors.Is(err, ErrSnapshot) {
		t.Error(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s %x %d", testKey, testKey, testKey, testKey, testKey, testKey); strings.Contains(s, "1") {
		t.Error("a key prints as", s)
	}
}

func TestTwoRootsOfOneName(t *testing.T) {
	home, st := t.TempDir(), mem.New()
	for i, x := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(home, x, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, x, "data", "f"), []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), filepath.Join(home, "one", "data"), filepath.Join(home, "two", "data"), filepath.Join(home, "two", "data", "f"))
	target := mustRestore(t, r, "latest", "")
	for name, want := range map[string]byte{"data/f": 0, "data-2/f": 1, "f": 1} {
		if b, err := os.ReadFile(filepath.Join(target, name)); err != nil || b[0] != want {
			t.Error(name, b, err)
		}
	}
}

func TestCancelledBackupLeavesNothingBehind(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	newTree(t, root, 8)
	r := mustCreate(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Backup(ctx, []string{root}, BackupOptions{StateDir: t.TempDir(), Progress: func(p Progress) {
		if p.Phase == PhaseFiles {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := count(t, r); n != 0 {
		t.Fatal(n, "snapshots")
	}
	mustBackup(t, r, t.TempDir(), root)
}
