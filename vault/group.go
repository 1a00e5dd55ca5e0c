package vault

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/ledger"
)

// logSlack is how many applied entries a box keeps in memory for boxes that
// are behind. Who is further behind gets the record tree as a stream.
const logSlack = 4 << 10

// Errors that stop a box of an island.
var (
	// ErrRoot: this box's record tree is another one than the leader's at the
	// same entry.
	ErrRoot = errors.New("vault: the record tree differs from the one that the island agreed on")

	// ErrIdentity: the HSM holds no identity that the fleet's document names.
	ErrIdentity = errors.New("vault: this HSM is of none of the island's boxes: not of the fleet's document, and of no certificate; or another one took its place")
)

// group is what a box knows of its island (spec/island.md). Nil in a Vault
// whose island has one box.
//
// The life of a command: the leader proposes it -> each box writes it into its
// journal -> fsync, anchor -> its acknowledgement leaves -> a majority has it
// -> each box applies it, in the same order -> the leader makes the answer
// -> a majority confirms that it still leads -> the answer leaves.
type group struct {
	self     wire.BoxID
	majority int          // boxes
	boxes    []bundle.Box // with those that took a lost one's place
	peers    []*peer      // the other boxes, in the order of their ids

	id     wire.GroupID // of the run; zero before the first
	member uint64       // this box's Raft identity
	raft   *consensus.Group
	start  consensus.Start // what Raft would start from, while raft is nil
	places map[uint64]ledger.Head
	ticks  uint64

	ledAt      uint64 // when a leader was last known, in ticks
	leftAt     uint64 // when this box left its run for an order, in ticks; 0: it did not
	campaignAt uint64 // asks for votes then, in ticks; 0: when Raft says (gone.go)
	resumes    bool   // at the next Step, as the member that it was

	// What the island agreed on, as applied.
	applied   consensus.Position
	conf      consensus.Configuration
	members   map[uint64]wire.BoxID
	replaced  [][]byte // certificates (replace.go)
	wanted    [][]byte // shown by this host, and not agreed on yet
	unsettled bool     // boxes does not count all of wanted
	changedAt uint64   // the last change of conf
	savedAt   uint64   // what the newest checkpoint stands for
	queue     []*applying

	// Of a leader.
	status   consensus.Status
	leading  bool // as of the last look: whether requests are served
	pending  map[uint64]proposal
	serial   uint64
	replies  []wire.Reply // of this Step
	batches  []batch      // wait for being confirmed
	batch    uint64
	changing uint64 // until that tick no other change is proposed
	marking  uint64 // the same of checkpoints
	forced   uint64 // after a cold start: up to there changes of the configuration are void
	forcing  bool   // until the checkpoint after that

	sending  *sending
	arriving *arriving
	report   wire.IslandReport
}

func newGroup(v *Vault, h hal.HAL, replacements [][]byte) (*group, error) {
	key, err := h.PublicKey(keyBox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return &group{
		self: bundle.Box{Key: key}.ID(), majority: len(v.fleet.Boxes)/2 + 1, wanted: replacements,
		places: map[uint64]ledger.Head{}, members: map[uint64]wire.BoxID{}, pending: map[uint64]proposal{},
	}, nil
}

// leads tells whether this box carries requests out. A leader does when it has
// applied all that any leader before it answered for (dissertation §6.4).
func (v *Vault) leads() bool { return v.group == nil || v.group.leading }

// Every box of the document has a voice then, whether it is up or not: so what
// a majority has is known to one box at least of any majority that custodians
// may start the island again from.
func (g *group) leadsNow() bool { return g.settledLead() && len(g.voiceless()) == 0 }

// settledLead tells whether this box leads and has applied what was before.
func (g *group) settledLead() bool {
	s := &g.status
	return g.raft != nil && s.Leads && !s.HandsOver && !g.forcing && g.applied.Term == s.Term
}

// voiceless are the boxes that have no voter, this one never among them.
func (g *group) voiceless() (boxes []*peer) {
	for _, p := range g.peers {
		if !slices.ContainsFunc(g.conf.Voters, func(m uint64) bool { return g.members[m] == p.box }) {
			boxes = append(boxes, p)
		}
	}
	return boxes
}

// hear takes what came through the door.
func (g *group) hear(v *Vault, in wire.In) {
	if g.resumes {
		g.resumes = false
		g.begin(v)
	}
	for _, r := range in.Received {
		g.receive(v, r)
	}
	for _, b := range in.Gone {
		g.gone(v, b)
	}
	for range min(in.Ticks, consensus.ElectionTicks) { // a host that slept has missed its turn
		g.ticks++
		if g.raft != nil {
			g.must(v, g.raft.Tick())
			g.campaign(v)
		}
		g.greet(v)
	}
	if g.unsettled && g.free() { // there may be no leader any more, but by an order that counts the new box
		g.must(v, g.settle(v, g.replaced))
	}
	if len(in.Order) > 0 {
		g.order(v, in.Order)
	}
	if len(in.Replacement) > 0 {
		g.replacement(v, in.Replacement)
	}
	g.look(v)
}

// run does all that can be done now.
func (g *group) run(v *Vault, stopping bool) {
	if g.raft == nil {
		g.flush(v)
		g.tell(v)
		return
	}
	g.streams(v)
	for v.out.Fatal == nil {
		g.apply(v)
		g.look(v)
		g.confirm(v)
		w, more, err := g.raft.Work()
		g.must(v, err)
		if !more || err != nil {
			break
		}
		g.work(v, w)
	}
	if g.settledLead() {
		g.admit(v)
		g.mark(v)
	}
	if stopping && g.status.Leads {
		g.handOver(v)
	}
	if len(g.queue) == 0 {
		v.head = g.journalHead(v)
	}
	g.flush(v)
	g.tell(v)
}

// must stops the box at an error of Raft's.
func (g *group) must(v *Vault, err error) {
	if err != nil && !errors.Is(err, consensus.ErrDropped) {
		v.fail(err)
	}
}

// look sees whether this box leads, and what that changes.
func (g *group) look(v *Vault) {
	if g.raft == nil {
		return
	}
	g.status = g.raft.Status()
	if g.status.Leader != 0 {
		g.ledAt = g.ticks
	}
	g.tellTime(v)
	leads := g.leadsNow()
	switch {
	case leads == g.leading:
		return
	case leads:
		v.soonest = 0 // what is due, the one before may not have proposed
	}
	g.leading = leads
	if !leads {
		g.lose(v)
	}
}
