package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
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

	resumes bool // at the next Step, as the member that it was

	// What the island agreed on, as applied.
	applied   consensus.Position
	conf      consensus.Configuration
	members   map[uint64]wire.BoxID
	replaced  [][]byte // certificates (replace.go)
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

// proposal is a command that this box proposed.
type proposal struct {
	record *held // pinned
	then   func(record.Outcome)
}

// batch is answers that leave together.
type batch struct {
	number  uint64
	replies []wire.Reply
}

// applying is a committed entry on its way to being applied.
type applying struct {
	entry   consensus.Entry
	stamp   stamp
	command record.Command
	record  *held // pinned; nil while it is on its way
	waits   bool  // for the record
	last    *consensus.Work
}

func newGroup(v *Vault, h hal.HAL, replacements [][]byte) (*group, error) {
	key, err := h.PublicKey(keyBox)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentity, err)
	}
	return &group{
		self: bundle.Box{Key: key}.ID(), majority: len(v.fleet.Boxes)/2 + 1, replaced: replacements,
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
	for range min(in.Ticks, consensus.ElectionTicks) { // a host that slept has missed its turn
		g.ticks++
		if g.raft != nil {
			g.must(v, g.raft.Tick())
		}
		g.greet(v)
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

// work carries out what Raft wants done.
func (g *group) work(v *Vault, w consensus.Work) {
	if w.Write != nil {
		g.write(v, w.Write)
	}
	for _, m := range w.Messages {
		g.post(m)
	}
	for _, s := range w.Snapshots {
		g.send(v, s)
	}
	if w.Confirmed > 0 {
		g.release(v, w.Confirmed)
	}
	for i, e := range w.Committed {
		a := &applying{entry: e}
		if i == len(w.Committed)-1 {
			a.last = &w
		}
		g.fetch(v, a)
		g.queue = append(g.queue, a)
	}
}

// write puts Raft's write into the journal. Acknowledgements and votes that
// hang on it leave when it is anchored: the host's word alone, that it is on
// the disk, lets none out.
func (g *group) write(v *Vault, w *consensus.Write) {
	var plaintexts [][]byte
	add := func(r journalRecord) {
		plaintext, err := wire.Encode(r)
		if err != nil {
			v.fail(err)
		}
		plaintexts = append(plaintexts, plaintext)
	}
	for i := range w.Entries {
		add(journalRecord{Entry: &w.Entries[i]})
	}
	if w.State != nil {
		add(journalRecord{State: w.State})
	}
	raft := g.raft
	heads := v.write(plaintexts, func() {
		if raft == g.raft { // it takes part in this run still
			g.must(v, raft.Durable(w))
		}
	})
	for i, e := range w.Entries[:min(len(w.Entries), len(heads))] {
		g.places[e.Index] = heads[i]
	}
	v.finish() // a write of nothing waits for those before it, and for no other
}

// fetch decodes a committed entry, and gets the record that it is about.
func (g *group) fetch(v *Vault, a *applying) {
	if a.entry.IsChange() || len(a.entry.Data) == 0 {
		return
	}
	var payload []byte
	var err error
	if a.stamp, payload, err = parseStamp(a.entry.Data); err == nil && a.stamp.kind == stampCommand {
		a.command, err = record.DecodeCommand(payload)
	}
	if err != nil {
		v.fail(fmt.Errorf("%w: entry %d", err, a.entry.Index))
		return
	}
	if a.stamp.kind == stampCommand {
		a.waits = true
		v.hold(a.command.Account, func(h *held) { a.record, a.waits = h, false })
	}
}

// apply applies what is committed and there, in its order.
func (g *group) apply(v *Vault) {
	for len(g.queue) > 0 && !g.queue[0].waits && v.out.Fatal == nil {
		a := g.queue[0]
		g.queue = g.queue[1:]
		if a.entry.Index > g.applied.Index { // a stream may have had it
			g.carryOut(v, a)
		}
		if a.record != nil {
			v.unpin(a.record)
		}
		if a.last != nil {
			g.must(v, g.raft.Applied(*a.last))
		}
	}
}

func (g *group) carryOut(v *Vault, a *applying) {
	g.applied = a.entry.Position()
	v.head = g.journalHead(v)
	v.nowMillis = max(v.nowMillis, a.stamp.millis)
	switch {
	case a.entry.IsChange():
		g.change(v, a.entry)
	case a.stamp.kind == stampMark:
		g.marked(v, a.entry)
	case a.stamp.kind == stampReplacement:
		g.replacedBy(v, a.entry.Data[stampBytes:])
	case a.stamp.kind == stampCommand:
		o := v.apply(a.entry.Index, a.record, &a.command)
		if p, ours := g.pending[a.stamp.serial]; ours && a.stamp.boot == v.boot {
			delete(g.pending, a.stamp.serial)
			g.end(v, p, o)
		}
	}
	g.look(v)
}

func (g *group) end(v *Vault, p proposal, o record.Outcome) {
	if p.then != nil {
		p.then(o)
	} else if o.Refused != "" {
		v.remind(p.record) // nobody asked: it is proposed again when it is time
	}
	v.unpin(p.record)
}

// journalHead is from where a start may read on that has all that is applied:
// everything, where all that is anchored is applied.
func (g *group) journalHead(v *Vault) ledger.Head {
	if g.raft != nil && g.applied.Index >= g.raft.Last() && len(v.writes) == 0 {
		return v.anchored
	}
	if head := g.places[g.applied.Index]; head.Index > v.head.Index {
		return head
	}
	return v.head
}

// propose has the leader's log take a command.
func (g *group) propose(v *Vault, h *held, command []byte, then func(record.Outcome)) {
	g.serial++
	p := proposal{h, then}
	if !g.leading || g.raft.Propose(stamp{v.boot, g.serial, v.nowMillis, stampCommand}.append(command)) != nil {
		g.end(v, p, record.Outcome{Refused: wire.CodeUnavailable})
		return
	}
	g.pending[g.serial] = p
}

// look sees whether this box leads, and what that changes.
func (g *group) look(v *Vault) {
	if g.raft == nil {
		return
	}
	g.status = g.raft.Status()
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

// lose lets go of who waits. What was proposed may still happen: the box that
// leads knows.
func (g *group) lose(v *Vault) {
	serials := make([]uint64, 0, len(g.pending))
	for s := range g.pending {
		serials = append(serials, s)
	}
	slices.Sort(serials) // the same input gives the same output
	for _, s := range serials {
		p := g.pending[s]
		delete(g.pending, s)
		g.end(v, p, record.Outcome{Refused: wire.CodeUnknown})
	}
	for _, b := range g.batches {
		g.replies = append(g.replies, b.replies...)
	}
	g.batches, g.sending = nil, nil
	for _, r := range g.replies {
		v.elsewhere(r.ID)
	}
	g.replies = nil
}

// confirm asks a majority whether this box still leads, for all answers made
// since the last time.
//
// The attack that it stops: the host of a leader that was replaced holds back
// the news, and lets it answer from what it knew: a record that was destroyed
// or replaced meanwhile.
func (g *group) confirm(v *Vault) {
	if len(g.replies) == 0 {
		return
	}
	if !g.leading {
		g.lose(v)
		return
	}
	g.batch++
	g.batches = append(g.batches, batch{g.batch, g.replies})
	g.replies = nil
	g.must(v, g.raft.Confirm(g.batch))
}

// release lets answers out that are confirmed.
func (g *group) release(v *Vault, confirmed uint64) {
	for len(g.batches) > 0 && g.batches[0].number <= confirmed {
		v.out.Replies = append(v.out.Replies, g.batches[0].replies...)
		g.batches = g.batches[1:]
	}
}

// stamp stands before what a leader proposes.
type stamp struct {
	boot   ledger.Boot // of the box that proposed it, so that it knows its own again
	serial uint64
	millis uint64 // the leader's time
	kind   byte
}

const (
	stampCommand = 'c'
	stampMark    = 'm'
	stampBytes   = 16 + 8 + 8 + 1

	stampReplacement = 'r'
)

func (s stamp) append(payload []byte) []byte {
	b := make([]byte, 0, stampBytes+len(payload))
	b = append(b, s.boot[:]...)
	b = binary.BigEndian.AppendUint64(b, s.serial)
	b = binary.BigEndian.AppendUint64(b, s.millis)
	return append(append(b, s.kind), payload...)
}

func parseStamp(b []byte) (s stamp, payload []byte, err error) {
	if len(b) < stampBytes {
		return s, nil, record.ErrCommand
	}
	s = stamp{ledger.Boot(b), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]), b[32]}
	if s.kind != stampCommand && s.kind != stampMark && s.kind != stampReplacement {
		return s, nil, record.ErrCommand
	}
	return s, b[stampBytes:], nil
}
