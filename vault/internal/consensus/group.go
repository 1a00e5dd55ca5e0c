// Package consensus is Raft (go.etcd.io/raft/v3; Ongaro's dissertation) in the
// vault's own words: one member of one group. It is pure: time comes as ticks,
// what must become durable goes out as a Write, and what other members say
// comes in as bytes.
package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Of the Raft clock, in ticks.
const (
	ElectionTicks  = 10 // without a word of the leader, up to twice as many, at random
	HeartbeatTicks = 1
)

const (
	messageBytesMax     = 256 << 10 // of entries in one message
	inflightMessages    = 64        // to a member that has not acknowledged them
	uncommittedBytesMax = 8 << 20   // of entries; more are refused
	applyingBytesMax    = 1 << 20
)

// Errors.
var (
	// ErrDropped: the proposal was not taken: this member does not lead, or
	// too much waits already. It will never be committed.
	ErrDropped = errors.New("consensus: the proposal was not taken")

	// ErrBroken: Raft found its own state impossible. The box must stop.
	ErrBroken = errors.New("consensus: Raft's state is impossible")
)

// Group is one member. After an ErrBroken it must not be used any more.
type Group struct {
	node *raft.RawNode
	log  *journaled
	id   uint64
	acks []*pb.Message // to other members, of writes that are durable
}

// Start is what a member starts from.
type Start struct {
	ID      uint64 // never zero
	State   State
	Base    Position // the last applied entry
	Members Configuration
	Entries []Entry // after Base
}

// New starts a member. It campaigns only where Members has it as a voter.
func New(s Start) (g *Group, err error) {
	defer caught(&err)
	log := newJournaled(s)
	node, err := raft.NewRawNode(&raft.Config{
		ID: s.ID, ElectionTick: ElectionTicks, HeartbeatTick: HeartbeatTicks, Storage: log, Applied: s.Base.Index,
		AsyncStorageWrites: true, MaxSizePerMsg: messageBytesMax, MaxCommittedSizePerReady: applyingBytesMax,
		MaxUncommittedEntriesSize: uncommittedBytesMax, MaxInflightMsgs: inflightMessages,
		CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe, // no leases: clocks are the hosts'
		DisableProposalForwarding: true, StepDownOnRemoval: true, Logger: silent{},
	})
	return &Group{node: node, log: log, id: s.ID}, err
}

// ID is the member's.
func (g *Group) ID() uint64 { return g.id }

// Tick is one step of the Raft clock.
func (g *Group) Tick() (err error) {
	defer caught(&err)
	g.node.Tick()
	return nil
}

// Campaign has the member ask for the lead now.
func (g *Group) Campaign() (err error) {
	defer caught(&err)
	return g.node.Campaign()
}

// ForgetLeader has a follower wait for its leader no longer: it may grant its
// vote at once. The leader's next word makes it the leader again.
func (g *Group) ForgetLeader() (err error) {
	defer caught(&err)
	return g.node.ForgetLeader()
}

// Propose proposes an entry. Errors: ErrDropped, ErrBroken.
func (g *Group) Propose(data []byte) (err error) {
	defer caught(&err)
	if g.node.Propose(data) != nil {
		return ErrDropped
	}
	return nil
}

// ProposeChange proposes another configuration. Errors: as Propose. A change
// that comes while another is under way becomes an empty entry.
func (g *Group) ProposeChange(c Change) (err error) {
	defer caught(&err)
	if g.node.ProposeConfChange(c.proto()) != nil {
		return ErrDropped
	}
	return nil
}

// Step takes a message of another member. What it does not understand or is
// not for it, it drops.
func (g *Group) Step(message []byte) (err error) {
	defer caught(&err)
	m := new(pb.Message)
	if proto.Unmarshal(message, m) != nil || m.GetTo() != g.id || raft.IsLocalMsgTarget(m.GetFrom()) {
		return nil
	}
	_ = g.node.Step(m) // its errors tell of messages of members that are gone
	return nil
}

// From is the member that says to have sent a message, 0 for none, and whether
// only a leader sends such.
func From(message []byte) (member uint64, leads bool) {
	m := new(pb.Message)
	if proto.Unmarshal(message, m) != nil {
		return 0, false
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		leads = true
	}
	return m.GetFrom(), leads
}

// Confirm asks the group whether this member still leads; Work.Confirmed names
// the batch when a majority has said so, after this call (dissertation §6.4).
func (g *Group) Confirm(batch uint64) (err error) {
	defer caught(&err)
	g.node.ReadIndex(binary.BigEndian.AppendUint64(nil, batch))
	return nil
}

// HandOver has a leader make another member the leader.
func (g *Group) HandOver(to uint64) (err error) {
	defer caught(&err)
	g.node.TransferLeader(to)
	return nil
}

// Streamed tells the leader what became of a snapshot for a member.
func (g *Group) Streamed(member uint64, well bool) (err error) {
	defer caught(&err)
	status := raft.SnapshotFailure
	if well {
		status = raft.SnapshotFinish
	}
	g.node.ReportSnapshot(member, status)
	return nil
}

// Unreachable tells that messages to a member got lost.
func (g *Group) Unreachable(member uint64) (err error) {
	defer caught(&err)
	g.node.ReportUnreachable(member)
	return nil
}

// Message is for another member.
type Message struct {
	To    uint64
	Bytes []byte
}

// Snapshot is what a member needs that is too far behind the log: what the
// leader has applied, as of a checkpoint. Message is given to its Step when it
// has all of it.
type Snapshot struct {
	To      uint64
	At      Position
	Members Configuration
	Message []byte
}

// Work is what Raft wants done. In this order: the write is begun (it need not
// end), messages leave, committed entries are applied.
type Work struct {
	Write     *Write
	Messages  []Message
	Snapshots []Snapshot
	Committed []Entry
	Confirmed uint64 // the newest batch; 0 for none

	applied []*pb.Message
}

// Write is to be made durable, in the order in which Work gave it, entries
// before the state, which may say that they are committed. State is nil where
// nothing of it needs to be written.
type Write struct {
	Entries []Entry
	State   *State

	message *pb.Message
}

// Work gives the next work, false where there is none.
func (g *Group) Work() (w Work, more bool, err error) {
	defer caught(&err)
	if len(g.acks) == 0 && !g.node.HasReady() {
		return w, false, nil
	}
	ready := g.node.Ready()
	messages := append(g.acks, ready.Messages...)
	g.acks = nil
	for _, m := range messages {
		if err := g.sort(m, &w); err != nil {
			return w, false, err
		}
	}
	for _, r := range ready.ReadStates {
		if len(r.RequestCtx) == 8 {
			w.Confirmed = max(w.Confirmed, binary.BigEndian.Uint64(r.RequestCtx))
		}
	}
	return w, true, nil
}

// sort puts a message to where it belongs.
func (g *Group) sort(m *pb.Message, w *Work) error {
	switch {
	case m.GetTo() == raft.LocalAppendThread:
		w.Write = &Write{message: m}
		for _, e := range m.GetEntries() {
			w.Write.Entries = append(w.Write.Entries, entryOf(e))
		}
		if g.log.note(m) {
			s := g.log.state
			w.Write.State = &s
		}
	case m.GetTo() == raft.LocalApplyThread:
		for _, e := range m.GetEntries() {
			w.Committed = append(w.Committed, entryOf(e))
		}
		w.applied = append(w.applied, m.GetResponses()...)
	default:
		encoded, err := proto.Marshal(m)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
		if m.GetType() == pb.MsgSnap {
			at := m.GetSnapshot().GetMetadata()
			w.Snapshots = append(w.Snapshots, Snapshot{m.GetTo(), Position{at.GetIndex(), at.GetTerm()}, configurationOf(at.GetConfState()), encoded})
		} else {
			w.Messages = append(w.Messages, Message{m.GetTo(), encoded})
		}
	}
	return nil
}

// Durable says that a write is durable: acknowledgements and votes that hung
// on it may leave now, and only now.
func (g *Group) Durable(w *Write) (err error) {
	defer caught(&err)
	g.log.write(w.message)
	return g.deliver(w.message.GetResponses())
}

// Applied says that the work's committed entries are applied.
func (g *Group) Applied(w Work) (err error) {
	defer caught(&err)
	return g.deliver(w.applied)
}

func (g *Group) deliver(responses []*pb.Message) error {
	for _, r := range responses {
		if r.GetTo() != g.id {
			g.acks = append(g.acks, r)
		} else if err := g.node.Step(r); err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
	}
	return nil
}

// Change applies a committed change and gives the configuration after it.
func (g *Group) Change(c Change) (after Configuration, err error) {
	defer caught(&err)
	state := g.node.ApplyConfChange(c.proto())
	after = configurationOf(state)
	g.log.members = after
	return after, nil
}

// Compact says that snapshots are of a checkpoint from now on, and that the
// entries before another index are not needed any more.
func (g *Group) Compact(at Position, members Configuration, before uint64) {
	g.log.compact(at, members, before)
}

// Hold keeps snapshots from being begun, or lets them be begun again.
func (g *Group) Hold(held bool) { g.log.held = held }

// WantsSnapshot tells whether one was asked for while they were held.
func (g *Group) WantsSnapshot() bool { return g.log.wanted }

// Last is the index of the last durable entry.
func (g *Group) Last() uint64 { return g.log.last() }

// caught turns Raft's panics, which it has for states that can not be, into an
// error: a box stops, by a name.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrBroken, r)
	}
}
