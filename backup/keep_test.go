package backup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/test/soak"
)

// A prune by another process, which may be killed at one of its writes.
func playPrune(repository, state, cut string) error {
	d, err := dir.Open(repository)
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(cut)
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := Open(ctx, &writeKiller{killer: killer{Store: d, at: int64(at), after: at%2 == 0}}, testKey)
	if err != nil {
		return err
	}
	_, err = r.Prune(ctx, PruneOptions{StateDir: state, UnusedMax: PruneUnusedMax})
	return err
}

// writeKiller is a killer that counts deletes as puts.
type writeKiller struct{ killer }

func (k *writeKiller) Delete(ctx context.Context, name string) error {
	n := k.puts.Add(1)
	if n == k.at && !k.after {
		killMyself()
	}
	err := k.Store.Delete(ctx, name)
	if n == k.at {
		killMyself()
	}
	return err
}

// P13 with forgetting: random edits, backups, kills of backups and of prunes,
// forgets and prunes, and every snapshot that is left against its shadow. What
// is stored stays in proportion to what is live.
func TestKeptIsWhatThereWas(t *testing.T) {
	snapshots, kills, keep := soak.Size(30, 2000), soak.Size(8, 600), 12
	if raceEnabled && !soak.Long() {
		snapshots, kills, keep = 12, 3, 4
	}
	const seed = 20261124
	rnd := rand.New(rand.NewPCG(seed, 1))
	home, repo := t.TempDir(), t.TempDir()
	root, stateDir := filepath.Join(home, "data"), filepath.Join(home, "state")
	st, err := dir.Open(repo)
	if err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	x := newTree(t, root, seed)
	shadows := map[string]map[string]fixtureThing{}
	killed, forgotten := 0, 0
	var deleted int64
	for i := range snapshots {
		for range 1 + rnd.IntN(10) {
			x.edit()
		}
		x.trim(120)
		held := things(takeShadow(t, root))
		if i%4 == 1 && killed < kills {
			killed += killBackup(t, repo, stateDir, root, rnd)
			for _, s := range mustSnapshots(t, r) {
				if shadows[s.ID] == nil { // its head landed before it died
					shadows[s.ID] = held
				}
			}
			// SQLite leaves files beside a database that is in use when its
			// reader dies: the folder is as it was, but for its time.
			held = things(takeShadow(t, root))
		}
		shadows[mustBackup(t, r, stateDir, root).Snapshot.ID] = held
		if i%4 == 3 && killed < kills {
			killed += killPrune(t, repo, stateDir, 1+rnd.IntN(8))
		}
		if i%3 != 2 {
			continue
		}
		report, err := r.Forget(t.Context(), ForgetOptions{StateDir: stateDir, Rules: KeepRules{Last: keep}})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range report.Verdicts {
			if !v.Keep {
				delete(shadows, v.ID)
				forgotten++
			}
		}
		did, err := r.Prune(t.Context(), PruneOptions{StateDir: stateDir, UnusedMax: PruneUnusedMax})
		if err != nil {
			t.Fatal(err)
		}
		deleted += did.Deleted.Bytes
		wantKept(t, r, shadows, rnd, 1)
	}
	if killed < kills*3/4 || forgotten == 0 || deleted == 0 {
		t.Fatalf("%d kills, %d forgotten, %d bytes deleted", killed, forgotten, deleted)
	}
	for range 4 { // what the kills left
		if _, err := r.Prune(t.Context(), PruneOptions{StateDir: stateDir, UnusedMax: PruneUnusedMax}); err != nil {
			t.Fatal(err)
		}
	}
	mustCheck(t, r)
	wantKept(t, r, shadows, rnd, len(shadows))
	if n := countObjects(t, st, "i/"); n > 40 {
		t.Errorf("%d index objects", n)
	}
	soak.Tried(t, "P13", "snapshots with forgets and prunes", snapshots, snapshots)
	soak.Tried(t, "P13", "kills of backups and prunes", killed, kills*3/4)
	t.Logf("%d snapshots, %d killed, %d forgotten, %d MB deleted, %d MB stored", snapshots, killed, forgotten, deleted>>20, storedBytes(t, st, "")>>20)
}

// wantKept compares the live snapshots with the shadows, and restores some.
func wantKept(t *testing.T, r *Repository, shadows map[string]map[string]fixtureThing, rnd *rand.Rand, restores int) {
	t.Helper()
	infos := mustSnapshots(t, r)
	if len(infos) != len(shadows) {
		t.Fatalf("%d snapshots instead of %d", len(infos), len(shadows))
	}
	for _, i := range rnd.Perm(len(infos))[:min(restores, len(infos))] {
		want, target := shadows[infos[i].ID], mustRestore(t, r, infos[i].ID, "")
		got := things(takeShadow(t, filepath.Join(target, "data")))
		if len(want) < 2 || len(got) != len(want) {
			t.Fatalf("%s: %d things instead of %d", infos[i].ID, len(got), len(want))
		}
		for path, w := range want {
			if g := got[path]; g.Content != w.Content || g.Mode != w.Mode || !g.ModTime.Equal(w.ModTime) {
				t.Fatalf("%s: %s is %+v instead of %+v", infos[i].ID, path, g, w)
			}
		}
		os.RemoveAll(target)
	}
}

// killPrune runs a prune in a process that dies at one of its writes, if it
// comes so far; 1 if it died.
func killPrune(t *testing.T, repo, stateDir string, cut int) int {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], repo, stateDir, fmt.Sprint(cut))
	c.Env = append(os.Environ(), roleVariable+"=prune")
	out, err := c.CombinedOutput()
	if err == nil {
		return 0
	}
	if !strings.Contains(err.Error(), "killed") {
		t.Fatalf("%v: %s", err, out)
	}
	return 1
}

// trim removes files until there are at most so many, so that a long run does
// not fill the disk.
func (x *tree) trim(most int) {
	x.t.Helper()
	for {
		entries, n := 0, ""
		filepath.WalkDir(x.root, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() && !strings.Contains(path, ".db") {
				if entries++; x.rnd.IntN(entries) == 0 {
					n = path
				}
			}
			return nil
		})
		if entries <= most {
			return
		}
		x.must(os.Remove(n))
	}
}

// Index objects do not pile up, though nobody prunes: a year of daily backups
// opens with few reads, and restores.
func TestAYearOfBackupsOpensWithFewReads(t *testing.T) {
	days := soak.Size(60, 365)
	if raceEnabled && !soak.Long() {
		days = 36
	}
	root, stateDir := filepath.Join(t.TempDir(), "data"), t.TempDir()
	gets := &getCounter{}
	st, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gets.Store = st
	r := mustCreate(t, gets)
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(9, 9))}
	x.must(os.MkdirAll(root, 0o755))
	clock := time.Unix(1_800_000_000, 0)
	for day := range days {
		x.must(os.WriteFile(filepath.Join(root, fmt.Sprint(day)), x.bytes(2000), 0o600))
		clock = clock.Add(24 * time.Hour)
		if _, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: stateDir, Host: "test", Now: func() time.Time { return clock }}); err != nil {
			t.Fatal(err)
		}
	}
	gets.n.Store(0)
	opened, err := Open(t.Context(), gets, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := opened.pack.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads := gets.n.Load()
	if t.Logf("%d reads to open after %d days", reads, days); reads > 30 {
		t.Error("too many")
	}
	soak.Tried(t, "P13", "days of backups without a prune", days, days)
	mustCheck(t, opened)
	wantSame(t, takeShadow(t, root), takeShadow(t, filepath.Join(mustRestore(t, opened, "latest", ""), "data")))
}

// getCounter counts reads.
type getCounter struct {
	store.Store
	n atomic.Int64
}

func (c *getCounter) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	c.n.Add(1)
	return c.Store.Get(ctx, name, offset, length)
}
