package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/backup/pack"
	"strongroom/store"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// part is what an actor does, one thing after another, on its device.
type part struct {
	device int
	acts   []string // "backup", "forget", "prune"
	whole  bool     // nobody goes between its calls
	late   bool     // its head's put gets no answer, and lands when the network will
	sleep  time.Duration
}

// scene is a small world in which two devices share what one of them forgot.
type scene struct {
	name      string
	condemned bool // what was forgotten is condemned already
	parts     []part
	switches  int // everyday
	long      int // in a soak
}

// aWeek is prunes enough to take a claim for abandoned, and one that deletes.
var aWeek = []string{"prune", "prune", "prune", "prune", "prune", "prune", "prune", "prune", "prune"}

var scenes = []scene{
	{"a backup beside two prunes", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: []string{"prune", "prune"}}}, 2, 3},
	{"a backup of what is condemned beside two prunes", true, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: []string{"prune", "prune"}}}, 1, 3},
	{"a backup beside prunes of two devices", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: []string{"prune"}}, {device: 2, acts: []string{"prune"}, whole: true}}, 2, 2},
	{"a backup whose head lands late", false, []part{{device: 2, acts: []string{"backup"}, late: true}, {device: 0, acts: []string{"prune", "prune"}, whole: true}}, 1, 2},
	{"a backup that sleeps for a week", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: aWeek, whole: true}}, 1, 1},
	{"a backup that sleeps for a week and renews its claim", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: aWeek, whole: true}, {sleep: claimRenewed + time.Second}}, 1, 2},
	{"a prune that sleeps for a week", false, []part{{device: 0, acts: []string{"prune"}}, {device: 2, acts: aWeek, whole: true}, {device: 1, acts: []string{"backup"}, whole: true}}, 0, 2},
	{"a backup that renews its claim beside two prunes", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: []string{"prune", "prune"}}, {sleep: claimRenewed + time.Second}}, 0, 3},
	{"two backups beside prunes and a forget", false, []part{{device: 1, acts: []string{"backup"}}, {device: 0, acts: []string{"backup", "forget", "prune"}}, {device: 2, acts: []string{"prune", "prune"}}}, 0, 2},
}

// Whatever a backup, a forget and prunes of two devices do between each
// other's calls, every snapshot whose backup said that it succeeded restores
// byte for byte, unless a forget dropped it; and so does every other that is
// live. All interleavings of few switches are tried.
func TestNoInterleavingLosesASnapshot(t *testing.T) {
	total := 0
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			world := newStage(t, 1)
			world.scene(world.devices[0], world.devices[1], s.condemned)
			world.devices[2].root = world.devices[1].root // a new phone, with the same files
			for _, d := range world.devices {
				d.held = takeShadow(t, d.root)
			}
			if !s.condemned {
				if err := world.forgetBy(world.open(), world.devices[0], world.now()); err != nil {
					t.Fatal(err)
				}
			}
			n := explore(t, soak.Size(s.switches, s.long), s.every(), soak.Long(), func(actor int) bool { return actor < len(s.parts) && s.parts[actor].whole }, func(d []decision) (played []point) {
				synctest.Test(t, func(t *testing.T) { played = s.play(t, world, d, false) })
				return played
			})
			rnd := rand.New(rand.NewPCG(20261124, uint64(len(s.name))))
			drawn := soak.Size(4, 400)
			for range drawn {
				synctest.Test(t, func(t *testing.T) { s.play(t, world, draw(rnd, len(s.parts)), true) })
			}
			t.Logf("%d interleavings, and %d drawn", n, drawn)
			total += n + drawn
		})
	}
	soak.Tried(t, "P13", "interleavings of backups, forgets and prunes", total, soak.Size(100, 20_000))
}

// week: somebody sleeps so long that his claim is taken for abandoned.
func (s scene) week() bool {
	return slices.ContainsFunc(s.parts, func(p part) bool { return len(p.acts) == len(aWeek) })
}

// every thins out the interleavings where the race detector makes them dear.
func (s scene) every() int {
	if raceEnabled && !soak.Long() && s.switches > 1 {
		return 16
	}
	return 1
}

// draw draws an interleaving of many switches, at any call, and of deaths.
func draw(rnd *rand.Rand, actors int) (out []decision) {
	const stepsMax, switchesMax = 160, 10
	for range 3 + rnd.IntN(switchesMax-2) {
		out = append(out, decision{rnd.IntN(stepsMax), rnd.IntN(actors), rnd.IntN(8) == 0})
	}
	slices.SortStableFunc(out, func(a, b decision) int { return cmp.Compare(a.step, b.step) })
	return out
}

// play plays a scene once in a copy of the world, and holds what is left
// against what was backed up. fine: each call of the storage waits for its
// turn, not only those whose order counts.
func (s scene) play(t *testing.T, world *stage, decisions []decision, fine bool) []point {
	x := world.copy(t)
	defer x.close()
	began := time.Now()
	now := func() time.Time { return x.clock.Add(time.Since(began)) }
	order := &scheduler{}
	network := len(s.parts)
	for i, p := range s.parts {
		go func() {
			if p.sleep > 0 {
				order.yield(i, "sleep", p.sleep)
				return
			}
			line := &player{Store: x.st, s: order, id: i, fine: fine, week: fine || s.week()}
			if p.late {
				line.late = &late{launch: func(land func() error) {
					order.yield(network, "land", 0)
					if err := land(); err != nil && !errors.Is(err, store.ErrExists) {
						t.Error("the late head:", err)
					}
				}}
			}
			for _, act := range p.acts {
				err := x.do(t.Context(), act, line, x.devices[p.device], now)
				x.mu.Lock()
				x.slept = x.slept || errors.Is(err, ErrAbandoned)
				x.mu.Unlock()
				if err != nil && !line.isDead() && !p.late && !errors.Is(err, ErrAbandoned) {
					t.Errorf("%s: %v", act, err)
				}
			}
		}()
	}
	played := order.play(decisions)
	// Who sleeps for a week between his look at his claim and his head, and
	// dies before he can take that head back, leaves a snapshot that he never
	// called one. It is damage: check names it, and prune waits.
	torn := s.week() && slices.ContainsFunc(decisions, func(d decision) bool { return d.kill })
	x.torn = torn
	x.audit(fmt.Sprint("after ", decisions))
	for _, d := range []int{0, 2} {
		if err := x.do(t.Context(), "prune", x.st, x.devices[d], now); err != nil && !(torn && errors.Is(err, ErrIncomplete)) {
			t.Error(decisions, err)
		}
	}
	x.slept = false
	x.audit(fmt.Sprint("prunes after ", decisions))
	if t.Failed() {
		for i, p := range played {
			t.Logf("step %d: actor %d: %s", i, p.actor, p.call)
		}
	}
	return played
}

// do lets a device do one thing.
func (x *stage) do(ctx context.Context, act string, st store.Store, d *actor, now func() time.Time) error {
	r, err := Open(ctx, st, testKey)
	if err != nil {
		return err
	}
	switch act {
	case "backup":
		return x.backup(ctx, r, d, d.held, now)
	case "forget":
		return x.forget(ctx, r, d, now)
	}
	return x.prune(ctx, r, d, now, 0, 0)
}

// quickFolder is a temporary folder in memory, where the system has one: what a
// device remembers is a few small files, written thousands of times.
func quickFolder(t *testing.T) string {
	folder, err := os.MkdirTemp("/dev/shm", "interleaving")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// copy gives a stage of its own for one interleaving: a copy of the storage
// and of what each device remembers, the same files.
func (x *stage) copy(t *testing.T) *stage {
	out := &stage{t: t, home: quickFolder(t), seed: x.seed, rnd: rand.New(rand.NewPCG(x.seed, 7)), clock: x.clock,
		shadows: maps.Clone(x.shadows), gone: maps.Clone(x.gone)}
	st := mem.New()
	for info, err := range x.st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		b, err := x.st.Get(t.Context(), info.Name, 0, -1)
		if err == nil {
			err = st.Put(t.Context(), info.Name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out.st = st
	for i, d := range x.devices {
		state := filepath.Join(out.home, fmt.Sprint(i))
		if err := os.CopyFS(state, os.DirFS(d.state)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		out.devices = append(out.devices, &actor{d.root, state, d.held})
	}
	return out
}

// audit reads every live snapshot whole, and finds none lost.
func (x *stage) audit(when string) {
	x.t.Helper()
	ctx := x.t.Context()
	r := x.open()
	heads, damage, err := r.pack.LoadIndex(ctx)
	if err != nil {
		x.t.Fatal(when, err)
	}
	refs, more, err := r.pack.SnapshotsOf(ctx, heads, damage)
	// A head that came when its claim was gone may name index objects that
	// are: nobody misses them, and the next prune names them no more.
	more = slices.DeleteFunc(more, func(d *pack.Damage) bool { return (x.slept || x.torn) && strings.HasPrefix(d.Object, "i/") })
	if err != nil || len(more) > 0 {
		x.t.Error(when, more, err)
	}
	live := map[string]bool{}
	for _, ref := range refs {
		m, err := r.pack.Manifest(ctx, ref)
		if err != nil && x.torn {
			continue
		}
		if err != nil {
			x.t.Error(when, err)
			continue
		}
		id := info(m).ID
		live[id] = true
		if err := x.read(r, m, x.shadows[id]); err != nil && !(x.torn && x.shadows[id] == nil) {
			x.t.Errorf("%s: snapshot %s: %v", when, id, err)
		}
	}
	for id := range x.shadows {
		if !live[id] && !x.gone[id] {
			x.t.Errorf("%s: snapshot %s is lost", when, id)
		}
	}
}

// read reads every file of a snapshot, and compares it where it is known.
func (x *stage) read(r *Repository, m *pack.Manifest, want shadow) error {
	files := 0
	err := r.pack.Entries(x.t.Context(), m, func(e *pack.Entry) error {
		if e.Kind != pack.EntryFile {
			return nil
		}
		files++
		b, err := r.pack.ReadJoined(x.t.Context(), pack.KindFile, e.Content.Direct)
		if err == nil && want != nil && string(b) != want[e.Path].content {
			err = fmt.Errorf("%s differs", e.Path)
		}
		return err
	})
	if err == nil && want != nil && files != len(want)-1 {
		err = fmt.Errorf("%d files of %d", files, len(want)-1)
	}
	return err
}
