package backup

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom/store"
	"strongroom/store/fault"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// crash is one way in which the nth write of a run goes wrong.
type crash struct {
	name  string
	rules func(nth int) []fault.Rule
}

var crashes = []crash{
	{"refused", func(n int) []fault.Rule { return []fault.Rule{{On: fault.Write, Nth: n, Effect: fault.Refused}} }},
	{"answer lost, not landed", func(n int) []fault.Rule { return []fault.Rule{{On: fault.Write, Nth: n, Effect: fault.Lost}} }},
	{"answer lost, landed", func(n int) []fault.Rule { return []fault.Rule{{On: fault.Write, Nth: n, Effect: fault.Landed}} }},
	{"dead before it", func(n int) []fault.Rule { return []fault.Rule{{On: fault.Write, Nth: n, Effect: fault.Dead}} }},
	// The second rule does not see the write that the first one hits.
	{"dead after it landed", func(n int) []fault.Rule {
		return []fault.Rule{{On: fault.Write, Nth: n, Effect: fault.Landed}, {On: fault.Write, Nth: n, Effect: fault.Dead}}
	}},
}

// P15: every write of a backup, and of making a repository, fails once landed
// and once not. Afterwards each snapshot that was promised is there and whole,
// the next backup succeeds, and nothing is damaged.
func TestEveryWriteFails(t *testing.T) {
	points, perRepository := soak.Size(60, 2000), 40
	if raceEnabled {
		points = soak.Size(20, 2000)
	}
	rnd := rand.New(rand.NewPCG(20261124, 15))
	tried := 0
	for seed := uint64(1); tried < points; seed++ {
		c := newCrashing(t, seed)
		tried += c.create(t)
		for range perRepository {
			if tried >= points {
				break
			}
			if c.step(t, crashes[tried%len(crashes)], 1+rnd.IntN(c.writes)) {
				tried++
			}
		}
		mustCheck(t, mustOpen(t, c.st))
		c.tree.must(os.RemoveAll(c.home))
	}
	soak.Tried(t, "P15", "writes that failed", tried, points)
}

// crashing is a repository whose backups crash.
type crashing struct {
	st     *mem.Store
	tree   *tree
	home   string
	root   string
	state  string
	writes int // of the last whole backup
	last   string
	held   shadow // of last
}

func newCrashing(t *testing.T, seed uint64) *crashing {
	home := t.TempDir()
	c := &crashing{st: mem.New(), home: home, root: filepath.Join(home, "data"), state: filepath.Join(home, "state")}
	c.tree = newTree(t, c.root, seed)
	return c
}

// create makes the repository with each of its writes failing first.
func (c *crashing) create(t *testing.T) (tried int) {
	for nth := 1; nth <= 2; nth++ {
		for _, way := range crashes {
			st := mem.New()
			f := fault.New(st, 1, way.rules(nth)...)
			if r, err := Create(t.Context(), f, testKey); err == nil && r == nil || f.Faults() == 0 {
				t.Fatalf("create, write %d %s: %v, %d faults", nth, way.name, err, f.Faults())
			}
			if _, err := Create(t.Context(), st, testKey); err != nil && !errors.Is(err, ErrRepository) {
				t.Fatalf("create after write %d %s: %v", nth, way.name, err)
			}
			mustCheckEmpty(t, mustOpen(t, st))
			tried++
		}
	}
	mustCreate(t, c.st)
	c.whole(t)
	return tried
}

// step lets one backup crash, and shows that nothing came of it but itself.
func (c *crashing) step(t *testing.T, way crash, nth int) bool {
	t.Helper()
	for range 3 {
		c.tree.edit()
	}
	held, before := takeShadow(t, c.root), count(t, mustOpen(t, c.st))
	f := fault.New(c.st, uint64(nth), way.rules(nth)...)
	report, err := mustOpen(t, f).Backup(t.Context(), []string{c.root}, BackupOptions{StateDir: c.state, Host: "test"})
	after := count(t, mustOpen(t, c.st))
	switch {
	case err == nil && after != before+1:
		t.Fatalf("write %d %s: a backup was promised, and %d snapshots became %d", nth, way.name, before, after)
	case err == nil:
		c.last, c.held = report.Snapshot.ID, held
	case after != before && after != before+1:
		t.Fatalf("write %d %s: %d snapshots became %d", nth, way.name, before, after)
	}
	c.same(t)
	c.whole(t)
	return f.Faults() > 0
}

// whole backs up undisturbed.
func (c *crashing) whole(t *testing.T) {
	t.Helper()
	f := fault.New(c.st, 1)
	held := takeShadow(t, c.root)
	c.last, c.held = mustBackup(t, mustOpen(t, f), c.state, c.root).Snapshot.ID, held
	c.writes = f.Writes()
	c.same(t)
}

func (c *crashing) same(t *testing.T) {
	t.Helper()
	wantRestored(t, mustOpen(t, c.st), c.last, c.held)
}

func mustOpen(t testing.TB, st store.Store) *Repository {
	t.Helper()
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustCheckEmpty(t testing.TB, r *Repository) {
	t.Helper()
	report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
	if err != nil || len(report.Damages) > 0 || report.Objects != 2 {
		t.Fatal(report, err)
	}
}
