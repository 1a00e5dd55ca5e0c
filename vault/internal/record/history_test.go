package record

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"strongroom/protocol/wire"
)

// chronicler is the oracle of a history: it writes every event down by itself,
// one by one and for ever.
type chronicler struct {
	t      *testing.T
	rng    *rand.Rand
	r      Record
	now    uint64
	made   byte
	events []told
	seen   map[wire.EventKind]int
}

type told struct {
	kind wire.EventKind
	at   uint64
	slot uint64 // of an attempt
}

// do applies a command and writes what the test knows that it did.
func (c *chronicler) do(command Command, want ...wire.EventKind) {
	c.t.Helper()
	before, kept := c.r, slices.Clone(c.r.History)
	after, o := command.Apply(c.r, patient)
	if !reflect.DeepEqual(kept, slices.Clone(before.History)) {
		c.t.Fatalf("the history was changed in place")
	}
	c.r = after
	if len(o.Events) != len(want) {
		c.t.Fatalf("%+v: events %+v, want %v", command, o.Events, want)
	}
	for i, k := range want {
		e := wire.Event{Kind: k, Number: before.Events + uint64(i) + 1, Count: 1, FirstMillis: c.now, LastMillis: c.now}
		if o.Events[i] != e {
			c.t.Fatalf("event %+v, want %+v", o.Events[i], e)
		}
		c.events = append(c.events, told{k, c.now, c.r.Slot})
		c.seen[k]++
	}
	c.check()
}

// check: nothing is lost, whatever was joined.
func (c *chronicler) check() {
	c.t.Helper()
	h := c.r.Status(patient, c.now).History
	a := wire.Answer{Version: wire.Version, Status: &wire.StatusReport{State: wire.StateLive, History: h}}
	if err := a.Validate(); err != nil {
		c.t.Fatalf("%v: %+v", err, h)
	}
	type sum struct {
		count       int
		first, last uint64
	}
	is, want := map[wire.EventKind]sum{}, map[wire.EventKind]sum{}
	for _, e := range h {
		s, found := is[e.Kind]
		if !found {
			s.first = e.FirstMillis
		}
		is[e.Kind] = sum{s.count + int(e.Count), min(s.first, e.FirstMillis), max(s.last, e.LastMillis)}
	}
	for _, e := range c.events {
		s, found := want[e.kind]
		if !found {
			s.first = e.at
		}
		want[e.kind] = sum{s.count + 1, min(s.first, e.at), max(s.last, e.at)}
	}
	for k, w := range want {
		s := is[k]
		if k == wire.EventAttempts && s.first <= w.first && s.last >= w.last {
			s.first, s.last = w.first, w.last // the times of one that was proven may stay in its run
		}
		if s != w {
			c.t.Fatalf("kind %d: the history tells %+v, it was %+v\n%+v", k, s, w, h)
		}
	}
	if len(is) > len(want) {
		c.t.Fatalf("%+v tells what never was: %+v", h, want)
	}
	if b, err := wire.Encode(a); err != nil || len(b) > 600 {
		c.t.Fatalf("%d bytes, %v", len(b), err)
	}
}

// proven takes the attempt of a slot from what was wrong.
func (c *chronicler) proven(slot uint64) {
	c.events = slices.DeleteFunc(c.events, func(e told) bool { return e.kind == wire.EventAttempts && e.slot == slot })
}

func (c *chronicler) step() {
	c.now += 1 + c.rng.Uint64N(40_000)
	stopped := []wire.EventKind{}
	if c.r.Pending != nil {
		stopped = append(stopped, wire.EventStopped)
	}
	g := c.r.Generation
	switch n := c.rng.IntN(100); {
	case c.r.State == wire.StateExhausted && n < 60:
		c.now = max(c.now, c.r.OpenUntilMillis+1)
		// A deletion that waited is moot then.
		if c.r.Pending != nil && c.r.Pending.Register != nil {
			stopped = nil
		}
		c.do(Command{Destroy: &Destroy{g, c.r.Slot, c.now}}, append(stopped, wire.EventDestroyed)...)
	case c.r.State == wire.StateLive && n < 50:
		c.do(Command{Debit: &Debit{g, c.r.Slot + 1, ke1(int(c.r.Slot + 1)), c.now}}, wire.EventAttempts)
	case c.r.live() && n < 56 && c.r.spent() > 0:
		slot := c.r.Forgiven + 1 + c.rng.Uint64N(c.r.spent())
		if c.rng.IntN(2) == 0 {
			slot = c.r.Slot
		}
		c.proven(slot)
		c.do(Command{Refill: &Refill{g, slot, c.now}}, append(stopped, wire.EventRecovered)...)
	case c.r.live() && c.r.Pending == nil && n < 60:
		c.do(Command{Delete: &Delete{g, true, c.now}}, wire.EventDeletionAsked)
	case c.r.live() && n < 62:
		c.do(Command{Delete: &Delete{g, false, c.now}}, append(stopped, wire.EventDeleted)...)
	case c.r.State == wire.StateLive && c.r.Pending != nil && n < 80:
		c.mature()
	case c.r.live() && n < 86:
		c.do(Command{Mark: &Mark{g, [16]byte{1}, c.now, [32]byte{}, c.now}}, stopped...)
	default:
		c.register(stopped)
	}
}

func (c *chronicler) mature() {
	at, _ := c.r.DueMillis()
	c.now = max(c.now, at+1)
	kind := wire.EventReset
	if c.r.Pending.Register == nil {
		kind = wire.EventDeleted
	}
	c.do(Command{Mature: &Mature{c.r.Pending.DueMillis, c.now}}, kind)
}

func (c *chronicler) register(stopped []wire.EventKind) {
	c.made++
	old, live := c.r.Generation, c.r.live()
	r := Register{Generation: gen(c.made), Changes: c.r.Changes, NowMillis: c.now, Proven: true}
	kind := wire.EventRegistered
	if live {
		r.Replaces, kind = &old, wire.EventReplaced
		if c.r.Pending == nil && c.rng.IntN(2) == 0 {
			r.Proven, r.Reset, kind = false, true, wire.EventResetAsked
		}
	}
	c.do(Command{Register: &r}, append(stopped, kind)...)
}

func TestHistoryKeepsEverything(t *testing.T) {
	seen := map[wire.EventKind]int{}
	for seed := range uint64(60) {
		c := &chronicler{t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: 1_700_000_000_000, seen: seen}
		for range 250 {
			c.step()
		}
		if c.r.Events < 60 {
			t.Fatalf("seed %d: only %d events", seed, c.r.Events)
		}
	}
	for k := wire.EventRegistered; k <= wire.EventDestroyed; k++ {
		if seen[k] < 60 {
			t.Fatalf("the run did too little: %v", seen)
		}
	}
}

// The issue's own words: two wrong attempts, their times, and what came after.
func TestHistoryOfAnEvening(t *testing.T) {
	const at = 1_793_714_520_000 // 3 November 2026, 14:02 UTC
	c := &chronicler{t: t, now: at - 1000, seen: map[wire.EventKind]int{}}
	c.do(Command{Register: &Register{Generation: gen(1), NowMillis: c.now}}, wire.EventRegistered)
	for i, later := range []uint64{0, 180_000, 600_000} {
		c.now = at + later
		c.do(Command{Debit: &Debit{gen(1), uint64(i) + 1, ke1(i + 1), c.now}}, wire.EventAttempts)
	}
	c.now += 2000
	c.proven(3)
	c.do(Command{Refill: &Refill{gen(1), 3, c.now}}, wire.EventRecovered)
	want := []wire.Event{
		{Kind: wire.EventRegistered, Number: 1, Count: 1, FirstMillis: at - 1000, LastMillis: at - 1000},
		{Kind: wire.EventAttempts, Number: 3, Count: 2, FirstMillis: at, LastMillis: at + 180_000}, // the third was right
		{Kind: wire.EventRecovered, Number: 5, Count: 1, FirstMillis: at + 602_000, LastMillis: at + 602_000},
	}
	if h := c.r.Status(patient, c.now).History; !reflect.DeepEqual(h, want) {
		t.Fatalf("%+v\nwant\n%+v", h, want)
	}
	after, o := (&Command{Refill: &Refill{gen(1), 3, c.now}}).Apply(c.r, patient)
	if o.Events != nil || !reflect.DeepEqual(after, c.r) {
		t.Fatalf("a retry was written down: %+v", o.Events)
	}
	if _, o := (&Command{Debit: &Debit{gen(1), 9, ke1(9), c.now}}).Apply(c.r, patient); o.Events != nil {
		t.Fatalf("a refusal was written down: %+v", o.Events)
	}
}
