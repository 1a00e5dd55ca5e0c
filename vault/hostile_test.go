package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"testing"

	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/test/soak"
	"strongroom/vault"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
)

const hostileSteps = 2500

// watched is the oracle: an HSM that sees each evaluation and each anchor.
type watched struct {
	hal.HAL
	evaluated func(wrapped, point []byte)
	anchored  uint64 // index of the last head in the durable memory
}

func (w *watched) MultiplyWrapped(g hal.Group, wrapped, point []byte) ([]byte, error) {
	w.evaluated(wrapped, point)
	return w.HAL.MultiplyWrapped(g, wrapped, point)
}

func (w *watched) WriteMemory(p []byte) error {
	w.anchored = binary.BigEndian.Uint64(p[1+wire.FleetIDBytes:])
	return w.HAL.WriteMemory(p)
}

// storm is a box in the hands of a hostile host and of clients who share one
// account, its token and its right password, and hold back what they like.
type storm struct {
	*rig
	*mathrand.Rand
	hsm *watched

	found   []wire.Found
	lost    []wire.Entry // of a future that a restart took back
	jobs    []vault.Job
	results []vault.Result
	inbox   []wire.Request
	frames  []frame // everything that was ever sent, for replays
	open    map[uint64]func(wire.Reply)
	status  wire.StatusReport // the newest that any answer told
	key     string            // of the present owner

	tried  []*attempt
	held   []func() // finishes that wait for their moment
	points map[string]*evaluation
	proven map[string]uint64 // wrapped key -> the highest slot whose proof was accepted
	shown  map[uint64]proof  // requests with a proof whose outcome is not known
	gens   map[string]wire.Generation
	most   int // the largest number of guesses seen since a proof
	proofs int
	deaths int
}

type frame struct {
	sealed []byte
	proof  *proof // in it
}

type proof struct {
	slot    uint64
	wrapped map[string]bool // the keys that it may be for
}

type evaluation struct {
	slot    uint64
	gen     wire.Generation
	wrapped map[string]bool
}

func newStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	s := &storm{
		Rand: mathrand.New(mathrand.NewPCG(seed, 1)), open: map[uint64]func(wire.Reply){},
		points: map[string]*evaluation{}, proven: map[string]uint64{}, shown: map[uint64]proof{}, gens: map[string]wire.Generation{},
	}
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	s.hsm = &watched{HAL: h, evaluated: s.evaluated}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	s.rig = &rig{TB: t, Disk: disk.New(), issuer: private, now: 1_700_000_000_000}
	s.document, s.island, err = vault.Make(s.hsm, vault.Founding{
		Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000},
		Issuers:   []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}},
		Isolation: "none", Rollback: "file",
	})
	must(t, err)
	s.fleet, err = bundle.Decode(s.document)
	must(t, err)
	must(t, s.start())
	return s
}

func (s *storm) start() error {
	v, err := vault.Open(s.hsm, rand.Reader, s.document, s.island, s.Disk)
	if err == nil {
		s.vault, s.jobs, s.results, s.inbox, s.found = v, nil, nil, nil, nil
		clear(s.open)
	}
	return err
}

// evaluated is called before each evaluation. A point that no client tried
// for a recovery is a registration's.
func (s *storm) evaluated(wrapped, point []byte) {
	e := s.points[string(point)]
	if e == nil {
		return
	}
	w := string(wrapped)
	e.wrapped[w] = true
	if g, known := s.gens[w]; !known {
		s.gens[w] = e.gen
	} else if g != e.gen {
		s.Fatal("a point was evaluated under the key of another generation")
	}
	n, forgiven := 0, s.proven[w]
	for _, p := range s.shown {
		if p.wrapped[w] {
			forgiven = max(forgiven, p.slot)
		}
	}
	for _, other := range s.points {
		if other.wrapped[w] && other.slot > forgiven {
			n++
		}
	}
	s.most = max(s.most, n)
	if n > 10 {
		s.Fatalf("%d guesses since the last proof", n)
	}
}

// send puts a frame into the host's hands.
func (s *storm) send(sealed []byte, p *proof, opened func(wire.Reply)) {
	s.nextID++
	s.frames = append(s.frames, frame{sealed, p})
	if p != nil {
		s.shown[s.nextID] = *p
	}
	s.open[s.nextID] = opened
	s.inbox = append(s.inbox, wire.Request{ID: s.nextID, Sealed: sealed})
}

func (s *storm) sendFirst(f wire.First, then func(*wire.Answer, *channel.Exchange)) {
	f.Version, f.Token = wire.Version, s.vaultToken(alice)
	plaintext, err := wire.Encode(f)
	must(s.TB, err)
	key, err := channel.ParsePublicKey(s.fleet.KEM, s.fleet.Channel)
	must(s.TB, err)
	sealed, exchange, err := channel.SealFirst(key, s.fleet.ID, plaintext)
	must(s.TB, err)
	s.send(sealed, nil, func(r wire.Reply) { s.heard(r, exchange, func(a *wire.Answer) { then(a, exchange) }) })
}

func (s *storm) sendSecond(exchange *channel.Exchange, ticket []byte, m wire.Second, p *proof, then func(*wire.Answer)) {
	m.Version = wire.Version
	plaintext, err := wire.Encode(m)
	must(s.TB, err)
	sealed, answers, err := exchange.SealSecond(ticket, plaintext)
	must(s.TB, err)
	s.send(sealed, p, func(r wire.Reply) { s.heard(r, answers, then) })
}

func (s *storm) heard(r wire.Reply, e *channel.Exchange, then func(*wire.Answer)) {
	a, _ := s.rig.open(&r, e)
	if a == nil {
		return
	}
	if a.Status != nil {
		s.status = *a.Status
	}
	if a.Refused == "" {
		then(a)
	}
}

// guess starts a recovery: the next slot or a wrong one, a new KE1 or an old one.
func (s *storm) guess() {
	password := "wrong"
	if s.IntN(4) == 0 {
		password = right
	}
	var a *attempt
	if len(s.tried) > 0 && s.IntN(4) == 0 {
		old := *s.tried[s.IntN(len(s.tried))]
		a = &old
		if s.IntN(2) == 0 { // an old KE1 in a new place
			a.gen, a.slot = s.status.Generation, s.status.Slot+1
		}
	} else {
		ke1, login, err := s.rig.client(alice).StartLogin([]byte(password))
		must(s.TB, err)
		a = &attempt{alice, s.status.Generation, s.status.Slot + uint64(s.IntN(8)/6) + 1, ke1, login}
	}
	point := string(a.ke1[:33])
	if e := s.points[point]; e == nil {
		s.points[point] = &evaluation{a.slot, a.gen, map[string]bool{}}
	} else if e.gen != a.gen || e.slot != a.slot && len(e.wrapped) == 0 {
		return // which of the two it will be could not be told at the oracle
	}
	s.tried = append(s.tried, a)
	s.sendFirst(wire.First{RecoverStart: &wire.RecoverStart{Generation: a.gen, Slot: a.slot, KE1: a.ke1}},
		func(answer *wire.Answer, exchange *channel.Exchange) { s.started(a, answer.RecoverStart, exchange) })
}

// started holds a proof back until the host likes it.
func (s *storm) started(a *attempt, r *wire.RecoverStartAnswer, exchange *channel.Exchange) {
	ke3, _, _, err := a.login.Finish(r.KE2, argon())
	if err != nil {
		return
	}
	s.held = append(s.held, func() {
		p := proof{a.slot, s.points[string(a.ke1[:33])].wrapped}
		s.sendSecond(exchange, r.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}}, &p, func(*wire.Answer) {
			s.proofs++
			for w := range p.wrapped {
				s.proven[w] = max(s.proven[w], p.slot)
			}
		})
	})
}

// change registers, replaces or deletes; its finish is held back too.
func (s *storm) change() {
	var replaces *wire.Generation
	if s.status.State == wire.StateLive || s.status.State == wire.StateExhausted {
		g := s.status.Generation
		replaces = &g
		if s.IntN(3) == 0 {
			s.sendFirst(wire.First{Delete: &wire.Delete{
				Generation: g, Signature: ed25519.Sign(owner("K"), wire.DeleteStatement(s.fleet.ID, alice, g)),
			}}, func(*wire.Answer, *channel.Exchange) {})
			return
		}
	}
	request, state, err := s.rig.client(alice).StartRegistration([]byte(right))
	must(s.TB, err)
	s.sendFirst(wire.First{RegisterStart: &wire.RegisterStart{Request: request}}, func(a *wire.Answer, exchange *channel.Exchange) {
		r := a.RegisterStart
		opaqueRecord, export, err := state.Finish(r.Response, argon())
		must(s.TB, err)
		f := &wire.RegisterFinish{Transcript: r.Transcript(request), Record: opaqueRecord, SealedKey: []byte("sealed"), Stretch: stretch, Replaces: replaces}
		copy(f.Owner[:], owner("K").Public().(ed25519.PublicKey))
		g := &registration{exchange, r.Ticket, f, export, r.Generation}
		if replaces != nil {
			g.sign(s.rig, alice, "K")
		}
		s.held = append(s.held, func() {
			s.sendSecond(exchange, r.Ticket, wire.Second{RegisterFinish: f}, nil, func(*wire.Answer) {})
		})
	})
}

// step lets the host do one thing.
func (s *storm) step() {
	switch n := s.IntN(200); {
	case n < 20:
		s.guess()
	case n < 21, s.status.State != wire.StateLive && n < 30:
		s.change()
	case n < 43:
		s.sendFirst(wire.First{Status: &wire.StatusRequest{}}, func(*wire.Answer, *channel.Exchange) {})
	case n < 50 && len(s.held) > 0:
		i := max(s.IntN(len(s.held)), s.IntN(len(s.held)))
		s.held[i]() // maybe again later
	case n < 54 && len(s.frames) > 0: // a replay, under an id of its own
		f := s.frames[s.IntN(len(s.frames))]
		s.send(f.sealed, f.proof, nil)
	case n < 125:
		s.runJob()
	case n < 199:
		s.feed()
	default:
		s.die()
	}
}

// runJob runs any job, in any order.
func (s *storm) runJob() {
	if len(s.jobs) > 0 {
		i := s.IntN(len(s.jobs))
		s.results = append(s.results, s.jobs[i].Run(s.hsm))
		s.jobs = slices.Delete(s.jobs, i, i+1)
	}
}

// feed calls Step with some of what waits, in any order, with any clock and
// any claim about the disk.
func (s *storm) feed() {
	in := vault.Input{In: wire.In{NowMillis: s.clock()}}
	s.Shuffle(len(s.inbox), func(i, j int) { s.inbox[i], s.inbox[j] = s.inbox[j], s.inbox[i] })
	s.Shuffle(len(s.results), func(i, j int) { s.results[i], s.results[j] = s.results[j], s.results[i] })
	n, m := s.IntN(len(s.inbox)+1), s.IntN(len(s.results)+1)
	in.Requests, s.inbox = slices.Clone(s.inbox[:n]), s.inbox[n:]
	in.Done, s.results = slices.Clone(s.results[:m]), s.results[m:]
	in.Durable = []uint64{0, s.Uint64N(uint64(len(s.Written)) + 1), uint64(len(s.Written)), uint64(len(s.Written)), 1 << 60}[s.IntN(5)]
	in.Found, s.found = s.found, nil
	in.Kept = s.Kept.Serial
	o := s.vault.Step(in)
	must(s.TB, o.Fatal)
	s.Written = append(s.Written, o.Append...)
	s.asks(o.Out)
	s.jobs = append(s.jobs, o.Jobs...)
	if o.Anchor != nil {
		s.jobs = append(s.jobs, o.Anchor)
	}
	for _, r := range o.Replies {
		if then := s.open[r.ID]; then != nil {
			delete(s.open, r.ID)
			then(r)
			delete(s.shown, r.ID)
		}
	}
}

// asks answers what the box asked of the disk, in the order in which it did.
func (s *storm) asks(o wire.Out) {
	var in wire.In
	s.Serve(o, &in)
	s.found = append(s.found, in.Found...)
}

func (s *storm) clock() uint64 {
	switch s.IntN(400) {
	case 0:
		return math.MaxUint64 // sums overflow; nothing is good any more until a restart
	case 1, 2, 3:
		return 0
	case 4, 5, 6, 7:
		s.now += 130_000 // past every ticket
	case 8, 9, 10, 11:
		return s.now - 100_000
	}
	s.now += 50
	return s.now
}

// die stops the box. The host keeps as much of the log as the anchor forces
// it to, or more; anything less or other must not start.
func (s *storm) die() {
	s.deaths++
	whole, anchor := s.Written, int(s.hsm.anchored)
	for name, log := range map[string][]wire.Entry{
		"cut":      whole[:max(anchor-1, 0)],
		"swapped":  swapped(s.Rand, whole),
		"doubled":  append(slices.Clone(whole), last(whole)...),
		"replaced": replaced(s.Rand, whole[:anchor], s.lost),
	} {
		s.Written = log
		from := int(s.Kept.Index) // the checkpoint stands for what was before
		if len(log) >= anchor && slices.EqualFunc(log[from:], whole[from:min(len(log), len(whole))], sameEntry) || anchor == from {
			continue // nothing was changed that it would read
		}
		if err := s.start(); !errors.Is(err, ledger.ErrRollback) && !errors.Is(err, ledger.ErrEntry) {
			s.Fatalf("a log that was %s at the anchor %d of %d: %v", name, anchor, len(whole), err)
		}
	}
	keep := anchor + s.IntN(len(whole)-anchor+1)
	s.lost = append(s.lost, whole[keep:]...)
	s.Written = slices.Clone(whole[:keep])
	must(s.TB, s.start())
	s.remembers()
}

// remembers: all that was evaluated is charged for, though the host kept no
// more than it had to.
func (s *storm) remembers() {
	var told *wire.StatusReport
	s.sendFirst(wire.First{Status: &wire.StatusRequest{}}, func(a *wire.Answer, _ *channel.Exchange) { told = a.Status })
	for range 6 {
		in := vault.Input{In: wire.In{NowMillis: s.now, Requests: s.inbox, Found: s.found, Kept: s.Kept.Serial}, Done: s.results}
		s.inbox, s.results, s.found = nil, nil, nil
		o := s.vault.Step(in)
		must(s.TB, o.Fatal)
		s.Written = append(s.Written, o.Append...)
		s.asks(o.Out)
		for _, j := range o.Jobs {
			s.results = append(s.results, j.Run(s.hsm))
		}
		if o.Anchor != nil {
			s.jobs = append(s.jobs, o.Anchor)
		}
		for _, r := range o.Replies {
			s.open[r.ID](r)
		}
	}
	if told == nil {
		s.Fatal("no status after a restart")
	}
	clear(s.shown) // now it is known what they came to
	for w, g := range s.gens {
		if g == told.Generation {
			s.proven[w] = told.Slot - uint64(told.Wrong)
		}
	}
	for _, e := range s.points {
		if len(e.wrapped) > 0 && e.slot > told.Slot {
			s.Fatalf("slot %d was evaluated, and after a restart %d is the last", e.slot, told.Slot)
		}
	}
}

func sameEntry(a, b wire.Entry) bool { return a.Index == b.Index && bytes.Equal(a.Bytes, b.Bytes) }

func last(log []wire.Entry) []wire.Entry { return log[max(len(log)-1, 0):] }

func swapped(r *mathrand.Rand, log []wire.Entry) []wire.Entry {
	log = slices.Clone(log)
	if n := len(log); n > 1 {
		i := r.IntN(n - 1)
		log[i].Bytes, log[i+1].Bytes = log[i+1].Bytes, log[i].Bytes
	}
	return log
}

// replaced puts an entry of a lost future where it once belonged.
func replaced(r *mathrand.Rand, log, lost []wire.Entry) []wire.Entry {
	log = slices.Clone(log)
	if len(lost) > 0 {
		if e := lost[r.IntN(len(lost))]; e.Index <= uint64(len(log)) && !sameEntry(e, log[e.Index-1]) {
			log[e.Index-1] = e
		}
	}
	return log
}

// TestHostileSchedule: whatever the host does with the order of things, its
// clock, its disk and the power, and whatever the clients hold back or send
// again, no record answers more than ten guesses after a proof, and none that
// is forgotten.
func TestHostileSchedule(t *testing.T) {
	most, proofs, deaths := 0, 0, 0
	runs := soak.Size(hostileRuns, hostileRunsLong)
	enough := func() bool { return most >= hostileMost && proofs >= runs && deaths >= runs }
	// Keys and ciphertexts are random, so a seed does not fix all that happens:
	// more seeds follow until enough was tried, and too many are a failure.
	seed := 0
	for ; seed < runs || !enough() && seed < 5*runs; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newStorm(t, uint64(seed))
			for range hostileSteps {
				s.step()
			}
			most, proofs, deaths = max(most, s.most), proofs+s.proofs, deaths+s.deaths
		})
	}
	if !enough() {
		t.Errorf("it tried too little: %d guesses at most, %d proofs, %d deaths", most, proofs, deaths)
	}
	soak.Tried(t, "P1", "hostile schedules of one box", seed, runs)
}
