package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"strongroom/backup/pack"
	"strongroom/store"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// Whatever backups, forgets and prunes of several devices do at the same
// time, in whatever order their calls reach the storage, whichever of them
// dies at whichever call, and whatever their clocks say: every snapshot that
// is live restores whole, none is lost that nobody forgot, and once all is
// quiet nothing is left in the storage that nobody needs.
func TestAnyScheduleKeepsEverySnapshotWhole(t *testing.T) {
	// 2,000 take nine minutes on two cores that have nothing else to do. Twice
	// as many did not end in half an hour beside other tests, and a soak that is
	// stopped has tried nothing.
	schedules := soak.Size(12, 2000)
	if raceEnabled && !soak.Long() {
		schedules = 3
	}
	var total tally
	for seed := range schedules {
		x := newStage(t, uint64(seed))
		for range 10 {
			x.round()
		}
		x.quiet()
		x.close()
		total.add(x.tally)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d schedules: %+v", schedules, total)
	soak.Tried(t, "P13", "schedules of backups, forgets and prunes", total.schedules, schedules)
	if total.backups == 0 || total.died == 0 || total.forgot == 0 || total.deleted == 0 || total.beside == 0 {
		t.Fatalf("not tried: %+v", total)
	}
}

// tally counts what was tried.
type tally struct {
	schedules, backups, died, forgot, prunes, deleted, rescued, repacked, beside, jumps, restored int
}

func (a *tally) add(b tally) {
	a.schedules++
	a.backups, a.died, a.forgot, a.prunes = a.backups+b.backups, a.died+b.died, a.forgot+b.forgot, a.prunes+b.prunes
	a.deleted, a.rescued, a.repacked, a.beside = a.deleted+b.deleted, a.rescued+b.rescued, a.repacked+b.repacked, a.beside+b.beside
	a.jumps, a.restored = a.jumps+b.jumps, a.restored+b.restored
}

// stage is a repository, its devices, and the shadow of each snapshot.
type stage struct {
	t       *testing.T
	home    string
	seed    uint64
	rnd     *rand.Rand
	st      store.Store
	gate    *gate
	clock   time.Time
	devices []*actor
	pool    [][]byte // contents that come and go

	mu      sync.Mutex
	shadows map[string]shadow // guarded by mu: by snapshot id, of backups that ended well
	gone    map[string]bool   // guarded by mu: that a forget dropped, or may have
	tally   tally             // guarded by mu
	slept   bool              // guarded by mu: a backup came when its claim was gone
	torn    bool              // and may have died before it took its head back
}

type actor struct {
	root, state string
	held        shadow // of root, in an interleaving
}

func newStage(t *testing.T, seed uint64) *stage {
	x := &stage{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 5)), st: mem.New(), clock: time.Unix(1_800_000_000, 0),
		shadows: map[string]shadow{}, gone: map[string]bool{}}
	x.gate = newGate(seed)
	mustCreate(t, x.st)
	for range 12 {
		b := make([]byte, 1000+x.rnd.IntN(3000))
		rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(len(x.pool))}).Read(b)
		x.pool = append(x.pool, b)
	}
	x.home = quickFolder(t)
	for i := range 3 {
		d := &actor{root: filepath.Join(x.home, fmt.Sprint(i), "data"), state: filepath.Join(x.home, fmt.Sprint(i), "state")}
		if err := os.MkdirAll(d.root, 0o755); err != nil {
			t.Fatal(err)
		}
		x.devices = append(x.devices, d)
	}
	return x
}

// close frees the disk: a long run has thousands of stages.
func (x *stage) close() {
	if err := os.RemoveAll(x.home); err != nil {
		x.t.Fatal(err)
	}
}

// edit gives a device other files, out of the pool.
func (x *stage) edit(d *actor) {
	for range 1 + x.rnd.IntN(4) {
		name := filepath.Join(d.root, fmt.Sprint("f", x.rnd.IntN(6)))
		os.Remove(name)
		if x.rnd.IntN(4) == 0 {
			continue
		}
		if err := os.WriteFile(name, x.pool[x.rnd.IntN(len(x.pool))], 0o644); err != nil {
			x.t.Fatal(err)
		}
		when := time.Unix(x.rnd.Int64N(1e9), 0) // never the same twice: what changed is seen
		if err := os.Chtimes(name, when, when); err != nil {
			x.t.Fatal(err)
		}
	}
}

// round lets some devices work at the same time, each doing one thing after
// another.
func (x *stage) round() {
	x.clock = x.clock.Add(time.Duration(x.rnd.IntN(40)) * time.Hour)
	var all sync.WaitGroup
	for _, d := range x.devices {
		if x.rnd.IntN(4) == 0 {
			continue
		}
		x.edit(d)
		held := takeShadow(x.t, d.root)
		var acts []func()
		for range 1 + x.rnd.IntN(2) {
			acts = append(acts, x.act(d, held))
		}
		all.Go(func() {
			for _, act := range acts {
				act()
			}
		})
	}
	all.Wait()
	x.whole(false)
}

// now is what a device's clock says, which is not always the time.
func (x *stage) now() func() time.Time {
	at := x.clock
	if x.rnd.IntN(8) == 0 {
		x.tally.jumps++
		at = at.AddDate(1-2*x.rnd.IntN(2), 0, 0)
	}
	return func() time.Time { return at }
}

// act draws one thing that a device does. What it finds wrong it says.
func (x *stage) act(d *actor, held shadow) func() {
	cut := -1
	if x.rnd.IntN(4) == 0 {
		cut = x.rnd.IntN(60)
	}
	line := &line{Store: x.st, gate: x.gate, id: x.gate.join(), left: cut, lands: x.rnd.IntN(2) == 0}
	now, kind := x.now(), x.rnd.IntN(10)
	grace := time.Duration(x.rnd.IntN(2)) * 24 * time.Hour
	unused := []float64{0, PruneUnusedMax}[x.rnd.IntN(2)]
	return func() {
		defer x.gate.leave(line.id)
		ctx := x.t.Context()
		r, err := Open(ctx, line, testKey)
		switch {
		case err != nil:
		case kind < 5:
			err = x.backup(ctx, r, d, held, now)
		case kind < 7:
			err = x.forget(ctx, r, d, now)
		default:
			err = x.prune(ctx, r, d, now, grace, unused)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		if line.dead() {
			x.tally.died++
		} else if err != nil {
			x.t.Errorf("seed %d: kind %d: %v", x.seed, kind, err)
		}
	}
}

func (x *stage) backup(ctx context.Context, r *Repository, d *actor, held shadow, now func() time.Time) error {
	report, err := r.Backup(ctx, []string{d.root}, BackupOptions{StateDir: d.state, Host: "h", Now: now})
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tally.backups++
	x.shadows[report.Snapshot.ID] = held
	return nil
}

func (x *stage) forget(ctx context.Context, r *Repository, d *actor, now func() time.Time) error {
	opt := ForgetOptions{StateDir: d.state, Host: "h", Rules: KeepRules{Last: 1 + int(x.seed%2)}, Now: now}
	// What it may drop is gone for the shadow before it tries: it may die on
	// the way, and another may see more snapshots than are there now.
	report, err := r.Forget(ctx, opt)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, v := range report.Verdicts {
		if !v.Keep {
			x.gone[v.ID] = true
			x.tally.forgot++
		}
	}
	return err
}

func (x *stage) prune(ctx context.Context, r *Repository, d *actor, now func() time.Time, grace time.Duration, unused float64) error {
	report, err := r.Prune(ctx, PruneOptions{StateDir: d.state, Host: "h", Now: now, Grace: grace, UnusedMax: unused})
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tally.prunes++
	x.tally.deleted += report.Deleted.Objects
	x.tally.rescued += report.Rescued
	x.tally.repacked += report.Repacked.Objects
	if len(report.Others) > 0 {
		x.tally.beside++
	}
	return err
}

// whole proves that every live snapshot is whole, and that none is missing;
// restore: byte by byte against its shadow.
func (x *stage) whole(restore bool) {
	x.t.Helper()
	r, err := Open(x.t.Context(), x.st, testKey)
	if err != nil {
		x.t.Fatal(err)
	}
	report, err := r.Check(x.t.Context(), CheckOptions{ReadData: true})
	if err != nil || len(report.Damages) > 0 {
		x.t.Fatalf("seed %d: %v %v", x.seed, report.Damages, err)
	}
	infos, damage, err := r.Snapshots(x.t.Context())
	if err != nil || len(damage) > 0 {
		x.t.Fatalf("seed %d: %v %v", x.seed, damage, err)
	}
	live := map[string]bool{}
	for _, s := range infos {
		live[s.ID] = true
		want := x.shadows[s.ID]
		if want == nil || !restore && x.rnd.IntN(8) > 0 {
			continue // of a backup that died just after its head, which nobody knows
		}
		x.tally.restored++
		x.same(r, s.ID, want)
	}
	for id := range x.shadows {
		if !live[id] && !x.gone[id] {
			x.t.Fatalf("seed %d: snapshot %s is lost", x.seed, id)
		}
	}
}

// same reads every file of a snapshot, and compares it with the shadow.
func (x *stage) same(r *Repository, id string, want shadow) {
	x.t.Helper()
	heads, damage, err := r.pack.LoadIndex(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	m, err := r.find(x.t.Context(), id, heads, damage)
	if err != nil {
		x.t.Fatal(err)
	}
	files := 0
	err = r.pack.Entries(x.t.Context(), m, func(e *pack.Entry) error {
		if e.Kind != pack.EntryFile {
			return nil
		}
		files++
		b, err := r.pack.ReadJoined(x.t.Context(), pack.KindFile, e.Content.Direct)
		if err == nil && string(b) != want[e.Path].content {
			err = fmt.Errorf("%s differs", e.Path)
		}
		return err
	})
	if err != nil || files != len(want)-1 {
		x.t.Fatalf("seed %d: snapshot %s: %d files of %d, %v", x.seed, id, files, len(want)-1, err)
	}
}

// quiet lets every device work once alone, then prunes until nothing is left
// to do, and proves that nothing is left in the storage that nobody needs.
func (x *stage) quiet() {
	x.t.Helper()
	x.clock = x.clock.AddDate(3, 0, 0)
	now := func() time.Time { return x.clock }
	for _, d := range x.devices {
		r, err := Open(x.t.Context(), x.st, testKey)
		if err == nil {
			err = x.backup(x.t.Context(), r, d, takeShadow(x.t, d.root), now)
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
	for range 6 {
		r, err := Open(x.t.Context(), x.st, testKey)
		if err == nil {
			err = x.prune(x.t.Context(), r, x.devices[0], now, 0, 0)
		}
		if err != nil {
			x.t.Fatalf("seed %d: %v", x.seed, err)
		}
		x.whole(false)
	}
	x.whole(true)
	r, err := Open(x.t.Context(), x.st, testKey)
	if err != nil {
		x.t.Fatal(err)
	}
	p, err := r.pack.LookPrune(x.t.Context(), pack.PruneOptions{Claim: pack.NewClaimName(), Now: x.clock})
	if err != nil {
		x.t.Fatal(err)
	}
	left := p.Report()
	if left.Unneeded.Objects+left.Repacked.Objects+left.Waiting.Objects+left.Due.Objects+len(left.Others)+len(left.Orphans) > 0 || left.Indexes > 5 {
		x.t.Fatalf("seed %d: left over: %+v", x.seed, left)
	}
	for _, prefix := range []string{"c/", "d/"} {
		if n := storedBytes(x.t, x.st, prefix); n > 0 {
			x.t.Fatalf("seed %d: %d bytes are left in %s", x.seed, n, prefix)
		}
	}
	if p, live := countObjects(x.t, x.st, "m/"), len(mustSnapshots(x.t, r)); p != 2*live {
		x.t.Fatalf("seed %d: %d manifests for %d snapshots", x.seed, p, live)
	}
}

func mustSnapshots(t testing.TB, r *Repository) []SnapshotInfo {
	t.Helper()
	infos, damage, err := r.Snapshots(t.Context())
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	return infos
}

func countObjects(t testing.TB, st store.Store, prefix string) (n int) {
	t.Helper()
	for _, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// gate lets one call at a time through to the storage, drawn from those that
// wait. Now and then one line is held for long, so that whole operations of
// others happen between two of its calls.
type gate struct {
	mu      sync.Mutex
	free    *sync.Cond
	rnd     *rand.Rand
	busy    bool
	lines   int         // that are at work
	next    int         // id
	waiting map[int]int // calls, by line
	held    map[int]int // how many calls of others a line still lets pass
}

func newGate(seed uint64) *gate {
	g := &gate{rnd: rand.New(rand.NewPCG(seed, 6)), waiting: map[int]int{}, held: map[int]int{}}
	g.free = sync.NewCond(&g.mu)
	return g
}

func (g *gate) join() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	return g.next
}

func (g *gate) leave(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.held, id)
	g.free.Broadcast()
}

// pass waits for its turn; done ends it.
func (g *gate) pass(id int) (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[id]++
	if g.rnd.IntN(20) == 0 {
		g.held[id] = g.rnd.IntN(300)
	}
	for g.busy || g.held[id] > 0 && g.othersMove(id) {
		g.free.Wait()
	}
	g.busy = true
	if g.waiting[id]--; g.waiting[id] == 0 {
		delete(g.waiting, id)
	}
	for other := range g.held {
		if other != id {
			g.held[other]--
		}
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.busy = false
		g.free.Broadcast()
	}
}

// othersMove: a line that is not held waits too.
func (g *gate) othersMove(id int) bool {
	for other := range g.waiting {
		if other != id && g.held[other] <= 0 {
			return true
		}
	}
	return false
}

// line is one operation's way to the storage. It dies at a certain call: what
// that was is done or not, and nothing after it.
type line struct {
	store.Store
	gate  *gate
	id    int
	lands bool
	at    func(call int) // before each call; may be nil

	mu    sync.Mutex
	left  int // guarded by mu: calls until it dies; negative: it does not
	down  bool
	calls int // guarded by mu
}

var errDied = errors.New("test: the program died here")

func (l *line) dead() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.down }

func (l *line) call(write bool, do func() error) error {
	if l.gate != nil {
		defer l.gate.pass(l.id)()
	}
	l.mu.Lock()
	l.calls++
	n := l.calls
	l.mu.Unlock()
	if l.at != nil {
		l.at(n)
	}
	l.mu.Lock()
	if l.down {
		l.mu.Unlock()
		return errDied
	}
	l.down = l.left == 0
	l.left--
	down := l.down
	l.mu.Unlock()
	if !down {
		return do()
	}
	if write && l.lands {
		do()
	}
	return errDied
}

func (l *line) Put(ctx context.Context, name string, data []byte) error {
	return l.call(true, func() error { return l.Store.Put(ctx, name, bytes.Clone(data)) })
}

func (l *line) Delete(ctx context.Context, name string) error {
	return l.call(true, func() error { return l.Store.Delete(ctx, name) })
}

func (l *line) Get(ctx context.Context, name string, offset, length int64) (b []byte, err error) {
	err = l.call(false, func() (err error) { b, err = l.Store.Get(ctx, name, offset, length); return err })
	return b, err
}

func (l *line) Size(ctx context.Context, name string) (n int64, err error) {
	err = l.call(false, func() (err error) { n, err = l.Store.Size(ctx, name); return err })
	return n, err
}

func (l *line) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		var all []store.Info
		err := l.call(false, func() error {
			for info, err := range l.Store.List(ctx, prefix) {
				if err != nil {
					return err
				}
				all = append(all, info)
			}
			return nil
		})
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		for _, info := range all {
			if !yield(info, nil) {
				return
			}
		}
	}
}
