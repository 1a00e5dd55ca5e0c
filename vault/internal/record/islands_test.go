package record

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"strongroom/protocol/wire"
	"strongroom/test/soak"
)

// Several islands, one account: its owner, and a thief who holds the account's
// token, keeps every receipt that any island ever gave to anybody, and asks
// each island for whatever he likes, in any order. The islands learn of layouts
// at different times.

const (
	islandsMade  = 4
	layoutsMade  = 6
	ownerKey     = 1 // the lowest key of the owner's
	thiefKey     = 100
	islandMillis = 100_000 // the reset delay
)

var islandPolicy = Policy{Attempts: 10, TicketMillis: 2_000, Lifetime: 12, ResetMillis: islandMillis}

type islands struct {
	*testing.T
	rng   *rand.Rand
	seed  uint64
	now   uint64
	homes [layoutsMade + 1]int // the account's, by layout
	known [islandsMade]uint64  // the newest layout
	r     [islandsMade]Record

	made     byte
	begun    []begun
	receipts []given
	late     []func()                 // proposed, and not yet committed
	keys     map[wire.Generation]byte // who registered it
	waits    map[wire.Generation]int  // the guesses before it began to wait

	// The oracle.
	guesses  int     // at the owner's secret, ever
	proven   int     // of them, those before the last proof, or choice of a password, of the owner's
	ever     int     // without a proof, since the root last registered
	root     byte    // 0: nobody
	left     *uint64 // when the owner last signed a departure that nobody's arrival has followed
	arrivals int
	tickets  int
	settling bool
}

// begun is a registration between its trips.
type begun struct {
	island  int
	g       wire.Generation
	key     byte
	changes uint64
}

// given is a receipt, and what its signature says beside.
type given struct {
	wire.Receipt
	from, to int
	g        wire.Generation
}

func pin(island int) [wire.PinBytes]byte { return [wire.PinBytes]byte{byte(island + 1)} }

func (w *islands) policy(island int) Policy {
	p, n := islandPolicy, w.known[island]
	home := w.homes[n]
	p.Place = Place{Layout: n, Home: pin(home), Away: home != island, Latest: w.latest(island), Later: island != 0}
	return p
}

// latest is the newest layout that an island knows with itself as the home.
func (w *islands) latest(island int) uint64 {
	for n := w.known[island]; n > 0; n-- {
		if w.homes[n] == island {
			return n
		}
	}
	return 0
}

func (w *islands) fatal(format string, args ...any) {
	w.Helper()
	w.Fatalf("seed %d, at %d: %s\nhomes %v, known %v\n%+v", w.seed, w.now, fmt.Sprintf(format, args...), w.homes, w.known, w.r)
}

func (w *islands) owners(key byte) bool { return key < thiefKey }

// ownerLive tells whether a record of the owner's lives anywhere.
func (w *islands) ownerLive() bool {
	return slices.ContainsFunc(w.r[:], func(r Record) bool { return r.live() && w.owners(r.Keys.Owner[0]) })
}

// carry applies a command and asks the oracle.
func (w *islands) carry(island int, c Command, signer byte) wire.Code {
	w.Helper()
	before := w.r[island]
	ownerLive, p := w.ownerLive(), w.policy(island)
	after, o := c.Apply(before, p)
	w.r[island] = after
	open := 0
	for i := range w.r {
		if w.r[i].open(w.policy(i).Place) {
			open++
		}
	}
	if open > 1 {
		w.fatal("open on %d islands after %+v", open, c)
	}
	waited := before.State == wire.StateArriving && w.owners(before.owner()) && w.now <= before.ArrivingMillis+islandMillis
	if waited && !after.live() && after.Generation != before.Generation && !(signer != 0 && w.owners(signer)) || waited && after.Keys == nil && signer == 0 {
		w.fatal("the thief threw away what the owner registered: %+v", c)
	}
	if o.Ticket.Valid() && o.Changed {
		w.tickets++
		w.ever++
		if w.owners(o.Ticket.Keys().Owner[0]) {
			w.guesses++
		}
		if n := w.guesses - w.proven; n > int(p.Attempts) || w.ever > int(p.Lifetime) {
			w.fatal("%d guesses, %d ever", n, w.ever)
		}
	}
	if c.Refill != nil && o.Changed {
		w.ever-- // that one was right
		if w.owners(after.Keys.Owner[0]) {
			w.proven = w.guesses
		}
	}
	if c.Depart != nil && o.Changed && signer != 0 && w.owners(signer) && before.live() {
		at := c.Depart.NowMillis
		w.left = &at
	}
	if c.Register != nil && o.Changed && after.State == wire.StateArriving {
		w.waits[after.Generation] = w.guesses
	}
	if after.live() && (!before.live() || after.Generation != before.Generation) {
		w.entered(island, before, after, c, signer, ownerLive)
	}
	return o.Refused
}

// entered judges a generation that became live.
func (w *islands) entered(island int, before, after Record, c Command, signer byte, ownerLive bool) {
	w.Helper()
	owner := after.Keys.Owner[0]
	if c.Mature == nil && !w.owners(owner) {
		if ownerLive && signer != before.owner() {
			w.fatal("the thief took a live record: %+v", c)
		}
		if w.left != nil && w.now <= *w.left+islandMillis {
			w.fatal("the thief took what the owner has left at %d: %+v", *w.left, c)
		}
	}
	if c.Arrive != nil || c.Register != nil && after.Opened != before.Opened {
		w.arrivals++
	}
	switch {
	case c.Mature != nil && before.live():
		w.root = owner
	case w.root == 0, c.Register != nil && signer == w.root && (before.live() || c.Register.Replaces == nil):
		w.root, w.ever = owner, 0
	}
	w.left = nil
	switch {
	case !w.owners(owner) || c.Mature != nil && before.live():
	case c.Arrive != nil: // what was guessed since he registered it counts
		w.proven = max(w.proven, w.waits[after.Generation])
	default:
		w.proven = w.guesses // his choice
	}
}

func (r *Record) owner() byte {
	if r.Keys == nil {
		return 0
	}
	return r.Keys.Owner[0]
}

// start begins a registration.
func (w *islands) start(island int, key byte) begun {
	w.made++
	b := begun{island, gen(w.made), key, w.r[island].Changes}
	w.keys[b.g] = key
	w.begun = append(w.begun, b)
	return b
}

// finish ends one, signed by a key that the signer holds.
func (w *islands) finish(b begun, replaces *wire.Generation, signer byte, receipts []given) wire.Code {
	w.Helper()
	r := &w.r[b.island]
	g := Register{
		Generation: b.g, Keys: Keys{Owner: [32]byte{b.key}, Wrapped: []byte{b.key}}, Replaces: replaces, Changes: b.changes, NowMillis: w.now,
	}
	if len(receipts) > 0 {
		a, holds := w.arrival(b.island, b.g, w.known[b.island], receipts)
		if !holds {
			return wire.CodeReceipt
		}
		g.Arrive = &a
	}
	signed := byte(0)
	if by := r.Prover(replaces, g.Arrive, w.policy(b.island)); by != nil && signer != 0 && by[0] == signer {
		g.Proven, signed = true, signer
	}
	g.Reset = !g.Proven && w.rng.IntN(2) == 0
	return w.carry(b.island, Command{Register: &g}, signed)
}

// older are the older homes, as an island knows them.
func (w *islands) older(island int) []int { return w.olderThan(w.known[island]) }

func (w *islands) olderThan(layout uint64) (older []int) {
	for _, home := range w.homes[:layout+1] {
		if home != w.homes[layout] && !slices.Contains(older, home) {
			older = append(older, home)
		}
	}
	return older
}

// arrival is what the box makes of receipts: one of each older home, whose
// signature names this island, this generation and a layout that it knows.
func (w *islands) arrival(island int, g wire.Generation, layout uint64, receipts []given) (a Arrive, holds bool) {
	a = Arrive{Generation: g, Layout: layout, Least: layoutsMade + 1, NowMillis: w.now}
	older := w.olderThan(layout)
	holds = len(receipts) == len(older) && len(older) > 0
	var list []wire.Receipt
	for _, r := range receipts {
		holds = holds && slices.Contains(older, r.from) && r.to == island && r.g == g && r.Layout <= w.known[island]
		a.Least = min(a.Least, r.Layout)
		list = append(list, r.Receipt)
	}
	if i := wire.Newest(list); i >= 0 {
		a.Last = list[i]
	}
	return a, holds
}

// depart asks for a receipt, signed by a key that the signer holds.
func (w *islands) depart(island int, g wire.Generation, signer byte) wire.Code {
	w.Helper()
	p, r := w.policy(island), &w.r[island]
	d := Depart{To: p.Place.Home, Layout: p.Place.Layout, Generation: g, NowMillis: w.now}
	signed := byte(0)
	if by := r.Departer(p, w.now); by != nil && signer != 0 && by.Owner[0] == signer {
		d.Live, signed = by.Live, signer
	}
	commit := func() wire.Code {
		code := w.carry(island, Command{Depart: &d}, signed)
		if code == "" {
			w.receipts = append(w.receipts, given{*w.r[island].Receipt(p.Place), island, w.homes[p.Place.Layout], g})
		}
		return code
	}
	if w.isLate() {
		w.late = append(w.late, func() { commit() })
		return ""
	}
	return commit()
}

// isLate has a command wait between its proposal and its commit.
func (w *islands) isLate() bool { return !w.settling && w.rng.IntN(4) == 0 }

func (w *islands) arrive(island int, g wire.Generation, receipts []given) {
	a, holds := w.arrival(island, g, w.latest(island), receipts)
	switch {
	case !holds:
	case w.isLate():
		w.late = append(w.late, func() { w.carry(island, Command{Arrive: &a}, 0) })
	default:
		w.carry(island, Command{Arrive: &a}, 0)
	}
}

// move is the way of a client, which may end anywhere.
func (w *islands) move(key byte) {
	home := w.homes[w.known[w.rng.IntN(islandsMade)]]
	for i := range w.r {
		if w.r[i].live() && w.rng.IntN(4) > 0 {
			key = w.r[i].owner()
		}
	}
	b := w.start(home, key)
	if w.rng.IntN(4) > 0 {
		var replaces *wire.Generation
		if w.r[home].State == wire.StateArriving {
			g := w.r[home].Generation
			replaces = &g
		}
		w.finish(b, replaces, key, nil)
	}
	for _, from := range w.older(home) {
		if w.rng.IntN(12) == 0 {
			return
		}
		w.depart(from, b.g, key)
		if w.rng.IntN(12) == 0 {
			w.known[home] = min(w.known[home]+1, layoutsMade)
		}
	}
	if receipts := w.collect(home, b.g, false); w.rng.IntN(3) == 0 {
		w.finish(b, nil, key, receipts)
	} else {
		w.arrive(home, b.g, receipts)
	}
}

// collect looks for a receipt of each older home: the newest, or any.
func (w *islands) collect(island int, g wire.Generation, any bool) (receipts []given) {
	for _, from := range w.older(island) {
		var good []given
		for _, r := range w.receipts {
			if r.from == from && (any || r.to == island && r.g == g) {
				good = append(good, r)
			}
		}
		if n := len(good); n > 0 {
			at := n - 1
			if any || w.rng.IntN(3) == 0 {
				at = w.rng.IntN(n)
			}
			receipts = append(receipts, good[at])
		}
	}
	return receipts
}

// someKey is a key that whoever acts now holds: the owner's, or the thief's.
func (w *islands) someKey() byte {
	if w.rng.IntN(2) == 0 {
		return ownerKey + byte(w.rng.IntN(2))
	}
	return thiefKey
}

// step is one thing that somebody does.
func (w *islands) step() {
	island := w.rng.IntN(islandsMade)
	r, key := &w.r[island], w.someKey()
	switch w.rng.IntN(20) {
	case 0:
		if w.rng.IntN(3) == 0 || w.known[island] < slices.Max(w.known[:]) {
			w.learn(island)
		}
	case 1:
		w.now += uint64(w.rng.IntN(3_000))
		if w.rng.IntN(12) == 0 {
			w.now += islandMillis
		}
	case 2, 3:
		if len(w.begun) < 8 && w.made < 200 {
			w.start(island, key)
		}
	case 4, 5:
		w.finishSome()
	case 6, 7:
		w.departSome(island)
	case 8, 9:
		if r.State == wire.StateArriving {
			w.arrive(island, r.Generation, w.collect(island, r.Generation, w.rng.IntN(8) == 0))
		}
	case 10, 11:
		for i := range w.r {
			if w.r[i].live() && w.rng.IntN(2) == 0 {
				island, r = i, &w.r[i]
			}
		}
		slot := r.Slot + 1
		w.carry(island, Command{Debit: &Debit{Generation: r.Generation, Slot: slot, KE1: ke1(w.rng.IntN(1 << 15)), NowMillis: w.now}}, 0)
	case 12:
		if r.live() && r.spent() > 0 && w.rng.IntN(2) == 0 { // whoever registered it knows the password
			w.carry(island, Command{Refill: &Refill{Generation: r.Generation, Slot: r.Slot, NowMillis: w.now}}, 0)
		} else if r.live() && w.rng.IntN(6) == 0 {
			w.carry(island, Command{Delete: &Delete{Generation: r.Generation, NowMillis: w.now}}, r.owner())
		}
	case 13:
		w.due(island)
	case 14, 15:
		if w.made < 240 {
			w.move(key)
		}
	case 16, 17:
		if n := len(w.late); n > 0 {
			i := w.rng.IntN(n)
			commit := w.late[i]
			w.late = slices.Delete(w.late, i, i+1)
			commit()
		}
	}
}

// learn has an island know of a next layout; now and then the others follow.
func (w *islands) learn(island int) {
	switch newest := slices.Max(w.known[:]); {
	case w.known[island] < newest:
		w.known[island]++
	case w.rng.IntN(3) == 0:
		w.known[island] = min(newest+1, layoutsMade)
	case w.rng.IntN(2) == 0:
		for i := range w.known {
			w.known[i] = newest
		}
	}
}

func (w *islands) due(island int) {
	r := &w.r[island]
	at, found := r.DueMillis()
	switch {
	case !found || w.now <= at:
	case r.State == wire.StateExhausted:
		w.carry(island, Command{Destroy: &Destroy{Generation: r.Generation, Slot: r.Slot, NowMillis: w.now}}, 0)
	default:
		w.carry(island, Command{Mature: &Mature{DueMillis: r.Pending.DueMillis, NowMillis: w.now}}, 0)
	}
}

// finishSome finishes a registration, or one that somebody kept, once more.
func (w *islands) finishSome() {
	if len(w.begun) == 0 {
		return
	}
	i := w.rng.IntN(len(w.begun))
	b := w.begun[i]
	if w.rng.IntN(4) > 0 {
		w.begun = slices.Delete(w.begun, i, i+1)
	}
	var replaces *wire.Generation
	if w.rng.IntN(2) == 0 {
		g := w.r[b.island].Generation
		replaces = &g
	}
	var receipts []given
	if w.rng.IntN(2) == 0 {
		receipts = w.collect(b.island, b.g, w.rng.IntN(8) == 0)
	}
	w.finish(b, replaces, b.key, receipts)
}

// departSome asks for a receipt for a registration at the home. Its owner signs
// only for his own.
func (w *islands) departSome(island int) {
	home := w.homes[w.known[island]]
	g := w.r[home].Generation
	if len(w.begun) > 0 && w.rng.IntN(2) == 0 {
		g = w.begun[w.rng.IntN(len(w.begun))].g
	}
	key := w.keys[g]
	if w.rng.IntN(3) == 0 {
		key = 0
	} else if w.owners(key) {
		key = ownerKey + byte(w.rng.IntN(2)) // he has all keys of his
	}
	w.depart(island, g, key)
}

// settle has everybody behave: all islands know all layouts, waits are over.
// Whoever owns the account now brings it home, or, where nothing lives,
// somebody registers there.
func (w *islands) settle() {
	w.Helper()
	w.settling = true
	w.now += islandMillis + 10_000
	for i := range w.r {
		w.known[i] = layoutsMade
		for range 2 {
			w.due(i)
		}
	}
	w.now += islandMillis + 10_000
	home := w.homes[layoutsMade]
	key := byte(ownerKey)
	for i := range w.r {
		if w.r[i].live() {
			key = w.r[i].owner()
		}
	}
	if w.r[home].open(w.policy(home).Place) {
		return
	}
	w.made++
	b := w.start(home, key)
	if code := w.finish(b, nil, key, nil); code != "" {
		w.fatal("at the end no registration waits at home: %q", code)
	}
	for _, from := range w.older(home) {
		if code := w.depart(from, b.g, key); code != "" {
			w.fatal("at the end island %d gives no receipt: %q", from, code)
		}
	}
	a, holds := w.arrival(home, b.g, w.latest(home), w.collect(home, b.g, false))
	if !holds {
		w.fatal("at the end receipts are missing")
	}
	code := w.carry(home, Command{Arrive: &a}, 0)
	if code == wire.CodeReceipt { // over a tombstone: begun anew, with the receipts in hand
		b = w.start(home, key)
		for _, from := range w.older(home) {
			w.depart(from, b.g, key)
		}
		code = w.finish(b, nil, key, w.collect(home, b.g, false))
	}
	if code != "" && (code != wire.CodeLifetime || w.ever < int(islandPolicy.Lifetime)) {
		w.fatal("at the end it does not arrive: %q", code)
	}
}

// TestOneIslandIsOpen: whatever anybody asks of several islands, an account is
// open on one at most, no budget is doubled, nobody loses a record to a thief,
// and at the end the account can be brought home.
func TestOneIslandIsOpen(t *testing.T) {
	const steps = 500
	runs := soak.Size(2500, 100_000)
	arrivals, tickets := 0, 0
	for seed := range uint64(runs) {
		w := &islands{
			T: t, rng: rand.New(rand.NewPCG(seed, 1)), seed: seed, now: 1000,
			keys: map[wire.Generation]byte{}, waits: map[wire.Generation]int{},
		}
		for i := range w.homes[1:] {
			w.homes[i+1] = w.rng.IntN(islandsMade)
		}
		w.finish(w.start(0, ownerKey), nil, 0, nil)
		for range steps {
			w.step()
		}
		w.settle()
		arrivals += w.arrivals
		tickets += w.tickets
	}
	t.Logf("%d arrivals, %d guesses charged", arrivals, tickets)
	soak.Tried(t, "P1", "histories of one account over several islands", runs, runs)
	if arrivals < runs || tickets < runs*10 {
		t.Fatalf("the runs did too little: %d arrivals, %d guesses", arrivals, tickets)
	}
}
