package record

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"strongroom/protocol/wire"
)

var policy = Policy{Attempts: 10, TicketMillis: 120_000}

var waits = []uint64{0, 0, 0, 0, 0, 20_000, 40_000, 60_000, 60_000, 100_000}

func gen(b byte) wire.Generation { return wire.Generation{b} }
func ke1(b int) [32]byte         { return [32]byte{1, byte(b), byte(b >> 8)} }

// registered is a live record of generation 1.
func registered(t *testing.T) Record {
	t.Helper()
	r, code := Register{Generation: gen(1), Keys: Keys{Wrapped: []byte("k1")}}.Apply(Record{}, policy)
	if code != "" || r.State != wire.StateLive {
		t.Fatalf("first registration: %q, state %d", code, r.State)
	}
	return r
}

func debit(t *testing.T, r Record, slot uint64, k [32]byte, now uint64, want wire.Code) (Record, Ticket) {
	t.Helper()
	after, v := Debit{Generation: r.Generation, Slot: slot, KE1: k, NowMillis: now}.Apply(r, policy)
	if v.Refused != want {
		t.Fatalf("debit of slot %d: refused %q, want %q", slot, v.Refused, want)
	}
	if v.Ticket.Valid() != (want == "") {
		t.Fatalf("debit of slot %d: ticket %v beside refusal %q", slot, v.Ticket.Valid(), v.Refused)
	}
	return after, v.Ticket
}

func TestTenWrongThenDestroyed(t *testing.T) {
	r := registered(t)
	for i := 1; i <= 10; i++ {
		if left := r.Status(policy, 0).Left; int(left) != 11-i {
			t.Fatalf("before attempt %d: %d left", i, left)
		}
		r, _ = debit(t, r, uint64(i), ke1(i), 1000, "")
	}
	if s := r.Status(policy, 0); s.State != wire.StateExhausted || s.Left != 0 || s.DestroyAtMillis != 121_000 {
		t.Fatalf("after ten: %+v", s)
	}
	r, _ = debit(t, r, 11, ke1(11), 1000, wire.CodeExhausted)
	r, _ = debit(t, r, 10, ke1(10), 121_000, "") // a retry of the open one is free
	r, _ = debit(t, r, 10, ke1(10), 121_001, wire.CodeExhausted)

	if _, gone := (Destroy{Generation: gen(1), Slot: 10, NowMillis: 121_000}).Apply(r); gone {
		t.Fatal("destroyed while the last ticket was open")
	}
	dead, gone := Destroy{Generation: gen(1), Slot: 10, NowMillis: 121_001}.Apply(r)
	if !gone || dead.Keys != nil || dead.State != wire.StateDestroyed {
		t.Fatalf("not destroyed: %+v", dead)
	}
	debit(t, dead, 11, ke1(11), 121_001, wire.CodeDestroyed)
	if _, code := (Refill{Generation: gen(1), Slot: 10}).Apply(dead, policy); code != wire.CodeDestroyed {
		t.Fatalf("refill after destruction: %q", code)
	}
	again, code := Register{Generation: gen(2), Changes: dead.Changes}.Apply(dead, policy)
	if code != "" || again.Status(policy, 0).Left != 10 || again.Slot != 10 {
		t.Fatalf("registration after destruction: %q %+v", code, again)
	}
}

func TestRightAtTheTenth(t *testing.T) {
	r := registered(t)
	for i := 1; i <= 10; i++ {
		r, _ = debit(t, r, uint64(i), ke1(i), 1000, "")
	}
	r, code := Refill{Generation: gen(1), Slot: 10}.Apply(r, policy)
	if s := r.Status(policy, 0); code != "" || s.State != wire.StateLive || s.Left != 10 || s.WrongBefore != 9 {
		t.Fatalf("%q %+v", code, s)
	}
	if _, gone := (Destroy{Generation: gen(1), Slot: 10, NowMillis: 1 << 40}).Apply(r); gone {
		t.Fatal("destroyed after the proof")
	}
}

func TestSlotForgivesNoLaterGuess(t *testing.T) {
	r := registered(t)
	for i := 1; i <= 6; i++ {
		r, _ = debit(t, r, uint64(i), ke1(i), 1000, "")
	}
	for range 3 { // shown again and again, it forgives once
		r, _ = Refill{Generation: gen(1), Slot: 2}.Apply(r, policy)
		if s := r.Status(policy, 0); s.Left != 6 || s.WrongBefore != 1 {
			t.Fatalf("%+v", s)
		}
	}
	if _, code := (Refill{Generation: gen(1), Slot: 7}).Apply(r, policy); code != wire.CodeTicket {
		t.Fatalf("refill of a slot never debited: %q", code)
	}
}

func TestSlotRefuses(t *testing.T) {
	r := registered(t)
	r, _ = debit(t, r, 1, ke1(1), 1, "")
	r, _ = debit(t, r, 2, ke1(2), 1, "")
	debit(t, r, 2, ke1(3), 1, wire.CodeSlot) // another KE1 under a charged slot
	debit(t, r, 1, ke1(1), 1, wire.CodeSlot) // an older slot
	debit(t, r, 4, ke1(4), 1, wire.CodeSlot) // a slot too far
	after, _ := debit(t, r, 2, ke1(2), 1, "")
	if after.Slot != 2 || after.spent() != 2 {
		t.Fatalf("a retry was charged: %+v", after)
	}
	other := r
	other.Generation = gen(9)
	if _, v := (Debit{Generation: gen(1), Slot: 3}).Apply(other, policy); v.Refused != wire.CodeGeneration {
		t.Fatalf("another generation: %q", v.Refused)
	}
}

// The same KE1 under the same slot meets another key after a replacement: it
// must not pass as a retry.
func TestRetryDoesNotCrossGenerations(t *testing.T) {
	r := registered(t)
	r, _ = debit(t, r, 1, ke1(1), 1, "")
	old := gen(1)
	r, code := Register{Generation: gen(2), Replaces: &old, Proven: true, Changes: 1}.Apply(r, policy)
	if code != "" {
		t.Fatal(code)
	}
	debit(t, r, 1, ke1(1), 1, wire.CodeSlot)
	debit(t, r, 1, [32]byte{}, 1, wire.CodeSlot)
}

func TestRegisterRefuses(t *testing.T) {
	live := registered(t)
	old, other := gen(1), gen(7)
	keys := Keys{Wrapped: []byte("k2")}
	deleted, _ := Delete{Generation: gen(1)}.Apply(live, policy)
	for name, c := range map[string]struct {
		r    Record
		g    Register
		want wire.Code
	}{
		"over a live record without proof":        {live, Register{Generation: gen(2), Keys: keys, Changes: 1}, wire.CodeOwner},
		"naming it, without proof":                {live, Register{Generation: gen(2), Keys: keys, Changes: 1, Replaces: &old}, wire.CodeOwner},
		"proof for another generation":            {live, Register{Generation: gen(2), Keys: keys, Changes: 1, Replaces: &other, Proven: true}, wire.CodeReplaces},
		"something happened in between":           {live, Register{Generation: gen(2), Keys: keys, Changes: 0, Replaces: &old, Proven: true}, wire.CodeReplaces},
		"replay of a deleted one":                 {deleted, Register{Generation: gen(1), Keys: Keys{Wrapped: []byte("k1")}}, wire.CodeReplaces},
		"replacing what is gone":                  {deleted, Register{Generation: gen(2), Keys: keys, Changes: 2, Replaces: &old, Proven: true}, wire.CodeReplaces},
		"the same generation with other keys":     {live, Register{Generation: gen(1), Keys: keys}, wire.CodeReplaces},
		"the same again is a retry, not an error": {live, Register{Generation: gen(1), Keys: Keys{Wrapped: []byte("k1")}}, ""},
	} {
		after, code := c.g.Apply(c.r, policy)
		if code != c.want {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
		if after.Changes != c.r.Changes || after.Generation != c.r.Generation {
			t.Errorf("%s: the record changed", name)
		}
	}
}

func TestDelete(t *testing.T) {
	r := registered(t)
	if _, code := (Delete{Generation: gen(2)}).Apply(r, policy); code != wire.CodeGeneration {
		t.Fatal(code)
	}
	r, code := Delete{Generation: gen(1)}.Apply(r, policy)
	if code != "" || r.Keys != nil {
		t.Fatalf("%q %+v", code, r)
	}
	if after, code := (Delete{Generation: gen(1)}).Apply(r, policy); code != "" || after.Changes != r.Changes {
		t.Fatalf("a retry: %q", code)
	}
	debit(t, r, 1, ke1(1), 1, wire.CodeDeleted)
	if _, code := (Delete{Generation: gen(1)}).Apply(Record{}, policy); code != wire.CodeNoRecord {
		t.Fatal(code)
	}
}

// TestNeverElevenGuesses runs random commands, honest and hostile, and counts
// guesses outside the record: distinct (generation, KE1) pairs that a ticket
// was given for since the last proof of that generation.
func TestNeverElevenGuesses(t *testing.T) {
	const runs, steps = 300, 400
	tickets, destroyed, ended, matured := 0, 0, 0, 0
	for seed := range uint64(runs) {
		w := world{rng: rand.New(rand.NewPCG(seed, 2)), seen: map[guess]bool{}, asked: map[wire.Generation]uint64{}, guesses: map[guess]bool{}, policy: policy}
		if seed%2 == 1 {
			w.policy.WaitsMillis = waits
		}
		if seed%3 == 0 {
			w.policy.Lifetime = 25
		}
		if seed%4 < 2 {
			w.policy.ResetMillis = resetMillis
		}
		for range steps {
			before := w.r
			w.step()
			w.checkTaken(t, seed, before)
			if n := w.sinceProof(); n > 10 {
				t.Fatalf("seed %d: %d guesses since the last proof", seed, n)
			}
			if w.ever > 25 && w.policy.Lifetime > 0 {
				t.Fatalf("seed %d: %d wrong attempts in a lifetime", seed, w.ever)
			}
			if got := w.r.Status(w.policy, w.now).WrongEver; got != uint32(w.ever) {
				t.Fatalf("seed %d: status tells %d wrong attempts in the lifetime, there were %d", seed, got, w.ever)
			}
			if w.tooEarly != "" {
				t.Fatalf("seed %d: too early: %s", seed, w.tooEarly)
			}
		}
		tickets += w.tickets
		destroyed += w.destroyed
		ended += w.ended
		matured += w.matured
	}
	if ended < runs/4 {
		t.Fatalf("only %d registrations met the end of a lifetime", ended)
	}
	if matured < runs/4 {
		t.Fatalf("only %d resets came to their end", matured)
	}
	if tickets < runs*20 || destroyed < runs/8 {
		t.Fatalf("the run did too little: %d tickets, %d destroyed", tickets, destroyed)
	}
}

type guess struct {
	g wire.Generation
	k [32]byte
}

// world is a record and an oracle beside it.
type world struct {
	rng                *rand.Rand
	r                  Record
	now                uint64
	made               byte
	held               []Ticket       // tickets somebody holds
	seen               map[guess]bool // ever: the same pair again tells nothing new
	guesses            map[guess]bool // since the last proof
	tickets, destroyed int
	policy             Policy
	tooEarly           string // a charge that the oracle finds too early
	last               uint64 // the latest time of a charge
	wrong              int    // charges since the last proof of this generation

	ever  int      // charges without a proof since the root owner last registered
	root  [32]byte // who that is
	ended int      // registrations refused for the lifetime

	asked   map[wire.Generation]uint64 // resets that wait -> since when; a proof empties it
	signed  bool                       // the step was signed by the owner of what was live
	matured int
}

// charged is the oracle of the waits: it counts charges by itself.
func (w *world) charged(now uint64) {
	w.wrong++
	w.ever++
	if n := w.wrong - 1; n < len(w.policy.WaitsMillis) && w.policy.WaitsMillis[n] > 0 && now < w.last+w.policy.WaitsMillis[n] {
		w.tooEarly = fmt.Sprintf("attempt %d at %d, the one before at %d", w.wrong, now, w.last)
	}
	w.last = max(w.last, now)
}

func (w *world) sinceProof() int {
	n := 0
	for g := range w.guesses {
		if g.g == w.r.Generation {
			n++
		}
	}
	return n
}

func (w *world) evaluate(g guess) {
	if !w.seen[g] {
		w.seen[g], w.guesses[g] = true, true
	}
}

func (w *world) step() {
	w.signed = false
	w.now += w.rng.Uint64N(30_000)
	if w.rng.IntN(50) == 0 { // the host sets its clock back
		w.now -= min(w.now, w.rng.Uint64N(600_000))
	}
	switch n := w.rng.IntN(100); {
	case n < 70:
		d := Debit{Generation: w.r.Generation, Slot: w.r.Slot + w.rng.Uint64N(3), KE1: ke1(w.rng.IntN(40)), NowMillis: w.now}
		d.Slot -= min(d.Slot, w.rng.Uint64N(2))
		var v Verdict
		if w.r, v = d.Apply(w.r, w.policy); v.Ticket.Valid() {
			if v.Charged {
				w.charged(d.NowMillis)
			}
			w.tickets++
			w.held = append(w.held, v.Ticket)
			w.evaluate(guess{v.Ticket.Generation(), v.Ticket.KE1()})
		}
	case n < 73 && len(w.held) > 0: // the right password behind some ticket
		w.prove(w.held[w.rng.IntN(len(w.held))])
	case n < 75:
		m := Mark{Generation: w.r.Generation, Device: [16]byte{1}, Sequence: w.now}
		var changed bool
		if w.r, changed, _ = m.Apply(w.r); changed {
			w.proof()
		}
	case n < 82 && w.r.Pending != nil:
		w.mature()
	case n < 90:
		var gone bool
		if w.r, gone = (Destroy{Generation: w.r.Generation, Slot: w.r.Slot, NowMillis: w.now}).Apply(w.r); gone {
			w.destroyed++
		}
	default:
		w.made++
		old := w.r.Generation
		g := Register{Generation: gen(w.made), Changes: w.r.Changes, Keys: Keys{Owner: [32]byte{1 + byte(w.rng.IntN(4))}}}
		if w.rng.IntN(2) == 0 {
			g.Replaces = &old
		}
		g.Reset, g.NowMillis = w.rng.IntN(3) > 0, w.now
		signer := [32]byte{1 + byte(w.rng.IntN(20))} // sometimes one that owns something
		if p := w.r.Prover(g.Replaces, nil, w.policy); p != nil {
			g.Proven = *p == signer
		}
		w.register(g, signer)
	}
}

// register counts, at the oracle, what belongs to whom.
func (w *world) register(g Register, signer [32]byte) {
	before, live := w.r.Changes, w.r.live()
	var code wire.Code
	if w.r, code = g.Apply(w.r, w.policy); code == wire.CodeLifetime {
		w.ended++
	}
	if w.r.Changes == before {
		return
	}
	if live && !g.Proven { // it waits
		w.asked[g.Generation] = g.NowMillis
		return
	}
	w.signed = g.Proven
	w.proof()
	w.wrong = 0
	if w.root == [32]byte{} || g.Proven && signer == w.root {
		w.root, w.ever = g.Keys.Owner, 0
	}
}

// prove forgives, at the oracle, the guesses of slots up to the ticket's.
func (w *world) prove(k Ticket) {
	forgiven := w.r.Forgiven
	r, code := Refill{Generation: k.Generation(), Slot: k.Slot()}.Apply(w.r, w.policy)
	if code != "" || r.Forgiven == forgiven {
		return
	}
	w.r, w.wrong = r, int(r.Slot-k.Slot())
	w.ever-- // the proven one was not wrong
	w.proof()
	for _, h := range w.held {
		if h.Generation() == k.Generation() && h.Slot() <= k.Slot() {
			delete(w.guesses, guess{h.Generation(), h.KE1()})
		}
	}
}
