package backup

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/store"
)

// A scheduler lets one of several actors at a time go on to its next call of
// the storage, as a list of decisions says. It works in a bubble of synctest:
// between two calls everything that can run has run, so that the same
// decisions give the same interleaving, and no clock but the bubble's counts.
type scheduler struct {
	mu      sync.Mutex
	waiting []*turn // guarded by mu
}

// turn is a call that waits.
type turn struct {
	actor int
	call  string
	sleep time.Duration // the time that goes by in it
	grant chan bool     // false: its program has died
}

// decision says that from a step on another actor goes on; kill: the one that
// was at work never does again.
type decision struct {
	step, actor int
	kill        bool
}

// point is a step as it was played.
type point struct {
	actor   int
	enabled []int // who could have gone on
	call    string
}

func (s *scheduler) yield(actor int, call string, sleep time.Duration) bool {
	t := &turn{actor, call, sleep, make(chan bool)}
	s.mu.Lock()
	s.waiting = append(s.waiting, t)
	s.mu.Unlock()
	return <-t.grant
}

// enabled gives the actors that wait for their turn, in order.
func (s *scheduler) enabled() (out []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.waiting {
		if !slices.Contains(out, t.actor) {
			out = append(out, t.actor)
		}
	}
	slices.Sort(out)
	return out
}

// take takes an actor's next call. Those of one actor's own goroutines go in
// the order of what they ask, not of who came first: what is about claims
// before all else.
func (s *scheduler) take(actor int) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := -1
	for i, t := range s.waiting {
		if t.actor == actor && (best < 0 || t.before(s.waiting[best])) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	t := s.waiting[best]
	s.waiting = slices.Delete(s.waiting, best, best+1)
	return t
}

func (t *turn) before(other *turn) bool {
	claim, others := strings.HasSuffix(t.call, " c/"), strings.HasSuffix(other.call, " c/")
	if claim != others {
		return claim
	}
	return t.call < other.call
}

// play lets the actors go on until none is left.
func (s *scheduler) play(decisions []decision) (played []point) {
	now := -1
	for step := 0; ; step++ {
		synctest.Wait()
		for _, d := range decisions {
			if d.step != step || now == d.actor {
				continue
			}
			if d.kill {
				for t := s.take(now); t != nil; t = s.take(now) {
					t.grant <- false
					synctest.Wait()
				}
			}
			now = d.actor
		}
		enabled := s.enabled()
		if len(enabled) == 0 {
			return played
		}
		if !slices.Contains(enabled, now) {
			now = enabled[0]
		}
		t := s.take(now)
		played = append(played, point{now, enabled, t.call})
		t.grant <- true
		if t.sleep > 0 { // nobody else moves: only timers
			time.Sleep(t.sleep)
		}
	}
}

// player is an actor's way to the storage. It waits for its turn before the
// calls whose order counts: the others read what never changes, or put what
// nobody looks for yet.
type player struct {
	store.Store
	s    *scheduler
	id   int
	fine bool // wait before each call
	week bool // claims may be taken for abandoned

	late *late // of the head's put: nil, or it gets no answer and lands later

	mu   sync.Mutex
	dead bool // guarded by mu
}

// late is a head's put whose sender gets no answer, and cannot look either: it
// lands when launch lets it.
type late struct {
	launch func(land func() error)

	mu   sync.Mutex
	sent bool // guarded by mu
}

func (p *player) isDead() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.dead }

// counts tells whether a call's place among those of others counts: claims,
// condemned objects and heads are what the argument of spec/repository.md is
// about. Whether its own claim stands matters to an actor where claims may be
// taken for abandoned.
func (p *player) counts(op, name string) bool {
	switch op + " " + name[:min(2, len(name))] {
	case "put c/", "list c/", "delete c/", "list d/", "put d/", "list h/", "put h/":
		return true
	case "size c/":
		return p.week
	}
	return p.fine
}

func (p *player) turn(op, name string) error {
	if p.isDead() {
		return errDied
	}
	if p.counts(op, name) && !p.s.yield(p.id, op+" "+name[:min(2, len(name))], 0) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dead = true
		return errDied
	}
	return nil
}

func (p *player) Put(ctx context.Context, name string, data []byte) error {
	if err := p.turn("put", name); err != nil {
		return err
	}
	data = slices.Clone(data)
	if l := p.late; l != nil && strings.HasPrefix(name, "h/") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sent = true
		go l.launch(func() error { return p.Store.Put(context.WithoutCancel(ctx), name, data) })
		return fmt.Errorf("%w: no answer", store.ErrUnknown)
	}
	return p.Store.Put(ctx, name, data)
}

func (p *player) Delete(ctx context.Context, name string) error {
	if err := p.turn("delete", name); err != nil {
		return err
	}
	return p.Store.Delete(ctx, name)
}

func (p *player) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := p.turn("get", name); err != nil {
		return nil, err
	}
	if l := p.late; l != nil && strings.HasPrefix(name, "h/") {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sent {
			return nil, errLine
		}
	}
	return p.Store.Get(ctx, name, offset, length)
}

func (p *player) Size(ctx context.Context, name string) (int64, error) {
	if err := p.turn("size", name); err != nil {
		return 0, err
	}
	return p.Store.Size(ctx, name)
}

func (p *player) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := p.turn("list", prefix); err != nil {
			yield(store.Info{}, err)
			return
		}
		for info, err := range p.Store.List(ctx, prefix) {
			if !yield(info, err) {
				return
			}
		}
	}
}

// explore plays every interleaving of at most so many switches away from an
// actor that could have gone on, and gives how many there were. Where an actor
// is at its end any other may follow: that is no switch. kills: each actor
// that is switched away from may die there too. Of those with all their
// switches every nth is played.
func explore(t *testing.T, switches, every int, kills bool, whole func(actor int) bool, play func([]decision) []point) (n int) {
	t.Helper()
	var from func(made []decision, left int)
	leaves := 0
	from = func(made []decision, left int) {
		if left == 0 && switches > 0 {
			if leaves++; leaves%every != 0 {
				return
			}
		}
		played := play(made)
		if n++; t.Failed() {
			return
		}
		first := 0
		if len(made) > 0 {
			first = made[len(made)-1].step + 1
		}
		for step := first; step < len(played); step++ {
			before := -1
			if step > 0 {
				before = played[step-1].actor
			}
			could := slices.Contains(played[step].enabled, before)
			if could && (left == 0 || whole(before)) {
				continue
			}
			for _, other := range played[step].enabled {
				if other == played[step].actor {
					continue
				}
				rest := left
				if could {
					rest--
				}
				from(append(slices.Clone(made), decision{step, other, false}), rest)
				if kills && could && !t.Failed() {
					from(append(slices.Clone(made), decision{step, other, true}), rest)
				}
				if t.Failed() {
					return
				}
			}
		}
	}
	from(nil, switches)
	return n
}
