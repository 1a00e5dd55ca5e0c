package sim

import (
	"slices"

	"strongroom/hsm/hsmtest"
	"strongroom/protocol/wire"
)

// judge is the oracle. It stands at the HSMs' door and at the clients', and
// believes no box: it knows which blinded element somebody sent for which
// slot, and sees which elements are evaluated under which key.
type judge struct {
	*Sim
	attempts      map[string]attempt      // by blinded element
	registrations map[string]string       // blinded element -> account
	keys          map[string]*evaluations // by wrapped key
	slots         map[slot]string         // -> the one element that was evaluated for it
	proven        map[slot]bool           // a client showed the proof of this slot to somebody
	roots         map[uint64]root         // by Raft index
	answers       map[string]string       // by account, slot and KE1: KE2
	leaders       map[term]int            // -> the box
	violations    []string
}

type attempt struct {
	account string
	slot    uint64
}

type slot struct {
	account string
	number  uint64
}

// evaluations are those under one wrapped key.
type evaluations struct {
	account    string // "": not known yet
	registered string // the element that it was registered with
	slots      []uint64
}

type root struct {
	root [32]byte
	box  int
}

func newJudge(s *Sim) *judge {
	return &judge{
		Sim: s, attempts: map[string]attempt{}, registrations: map[string]string{}, keys: map[string]*evaluations{},
		slots: map[slot]string{}, proven: map[slot]bool{}, roots: map[uint64]root{}, answers: map[string]string{}, leaders: map[term]int{},
	}
}

// elementBytes is the blinded element, which begins KE1.
const elementBytes = 33

// sends notes an attempt that somebody is about to make.
func (j *judge) sends(account string, number uint64, ke1 []byte) {
	element := string(ke1[:elementBytes])
	if _, again := j.attempts[element]; !again {
		j.attempts[element] = attempt{account, number}
	}
}

func (j *judge) registers(account string, request []byte) { j.registrations[string(request)] = account }

// proves notes that the right proof of a slot is about to leave its client:
// from now on the box may forgive this slot and those before it.
func (j *judge) proves(account string, number uint64) { j.proven[slot{account, number}] = true }

// budget is what a generation gives: a promise, not read from any policy.
const budget = 10

// evaluated hears of each evaluation at any HSM's door.
//
// P1: for each key, between two proofs at most ten attempts, each slot one
// element; a registration's own evaluation is one, and the only one of its key.
func (j *judge) evaluated(e hsmtest.Evaluation) {
	k := j.keys[e.Wrapped]
	if k == nil {
		k = new(evaluations)
		j.keys[e.Wrapped] = k
	}
	if account, registers := j.registrations[e.Point]; registers {
		if k.registered != "" && k.registered != e.Point || len(k.slots) > 0 {
			j.violate("P1: registration is an oracle: a second element under the key of a registration of %s", account)
		}
		k.registered, k.account = e.Point, account
		return
	}
	a, sent := j.attempts[e.Point]
	switch {
	case !sent:
		j.violate("P1: an element was evaluated that nobody sent")
		return
	case k.account != a.account:
		j.violate("P1: an element of %s was evaluated under the key of %q", a.account, k.account)
		return
	}
	at := slot{a.account, a.slot}
	if other, taken := j.slots[at]; taken && other != e.Point {
		j.violate("P1: two elements were evaluated for slot %d of %s", a.slot, a.account)
	}
	j.slots[at] = e.Point
	if slices.Contains(k.slots, a.slot) {
		return
	}
	k.slots = append(k.slots, a.slot)
	slices.Sort(k.slots)
	j.Counts.Guesses++
	spent := 0
	for _, n := range k.slots {
		if spent++; spent > budget {
			j.violate("P1: %d guesses at %s without a proof, the last for slot %d", spent, a.account, n)
		}
		if j.proven[slot{a.account, n}] {
			spent = 0
		}
	}
}

// answered: one charge has one answer (P2).
func (j *judge) answered(account string, number uint64, ke1, ke2 []byte) {
	id := account + "\x00" + string(ke1)
	if before, again := j.answers[id]; again && before != string(ke2) {
		j.violate("P2: two answers for slot %d of %s", number, account)
	}
	j.answers[id] = string(ke2)
}

// root: all boxes come to the same root at the same place.
func (j *judge) root(b *box, r wire.IslandReport) {
	if r.RootAt == 0 {
		return
	}
	if before, found := j.roots[r.RootAt]; found && before.root != r.Root {
		j.violate("box %d has another root at entry %d than box %d", b.number, r.RootAt, before.box)
	}
	j.roots[r.RootAt] = root{r.Root, b.number}
}

// term is one of a run of the island.
type term struct {
	group  wire.GroupID
	number uint64
}

// leads: a term has one leader, or members voted twice (dissertation §3.2).
func (j *judge) leads(b *box, r wire.IslandReport) {
	if r.Role != wire.RoleLeader {
		return
	}
	t := term{r.Group, r.Term}
	if before, found := j.leaders[t]; found && before != b.number {
		j.violate("box %d and box %d both lead in term %d", before, b.number, r.Term)
	}
	j.leaders[t] = b.number
}
