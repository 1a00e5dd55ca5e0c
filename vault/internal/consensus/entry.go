package consensus

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Position is a place in the log.
type Position struct {
	Index uint64 `cbor:"1,keyasint"`
	Term  uint64 `cbor:"2,keyasint"`
}

// State is what a member must not forget beside its entries.
type State struct {
	Term uint64 `cbor:"1,keyasint"`
	Vote uint64 `cbor:"2,keyasint,omitempty"` // the member it voted for in Term

	// Commit is an index up to which entries were known to be committed. A
	// member takes its configuration from what it has applied: one that forgot
	// that a change of it was committed, and has more entries, would campaign
	// among members of long ago.
	Commit uint64 `cbor:"3,keyasint,omitempty"`
}

// Entry is an entry of Raft's log. Data is empty for a new leader's first.
type Entry struct {
	Index uint64 `cbor:"1,keyasint"`
	Term  uint64 `cbor:"2,keyasint"`
	Kind  uint8  `cbor:"3,keyasint,omitempty"` // Raft's own number
	Data  []byte `cbor:"4,keyasint,omitempty"`
}

// Position is the entry's.
func (e Entry) Position() Position { return Position{e.Index, e.Term} }

func entryOf(e *pb.Entry) Entry {
	return Entry{e.GetIndex(), e.GetTerm(), uint8(e.GetType()), e.GetData()}
}

func (e Entry) proto() *pb.Entry {
	p := &pb.Entry{Index: new(e.Index), Term: new(e.Term), Type: pb.EntryType(e.Kind).Enum()}
	if len(e.Data) > 0 {
		p.Data = e.Data
	}
	return p
}

// IsChange tells whether the entry changes the configuration.
func (e Entry) IsChange() bool { return pb.EntryType(e.Kind) != pb.EntryNormal }

// Configuration says who belongs to the group (dissertation §4). While
// Outgoing is not empty both majorities are needed.
type Configuration struct {
	Voters       []uint64 `cbor:"1,keyasint,omitempty"`
	Learners     []uint64 `cbor:"2,keyasint,omitempty"`
	Outgoing     []uint64 `cbor:"3,keyasint,omitempty"`
	LearnersNext []uint64 `cbor:"4,keyasint,omitempty"`
	AutoLeave    bool     `cbor:"5,keyasint,omitempty"`
}

// Joint tells whether a change is half way.
func (c Configuration) Joint() bool { return len(c.Outgoing) > 0 }

// Has tells whether a member has any part in it.
func (c Configuration) Has(id uint64) bool {
	return slices.Contains(c.Voters, id) || slices.Contains(c.Learners, id) || slices.Contains(c.Outgoing, id) || slices.Contains(c.LearnersNext, id)
}

func configurationOf(s *pb.ConfState) Configuration {
	return Configuration{
		slices.Clone(s.GetVoters()), slices.Clone(s.GetLearners()), slices.Clone(s.GetVotersOutgoing()),
		slices.Clone(s.GetLearnersNext()), s.GetAutoLeave(),
	}
}

func (c Configuration) proto() *pb.ConfState {
	return &pb.ConfState{
		Voters: slices.Clone(c.Voters), Learners: slices.Clone(c.Learners), VotersOutgoing: slices.Clone(c.Outgoing),
		LearnersNext: slices.Clone(c.LearnersNext), AutoLeave: new(c.AutoLeave),
	}
}

// Change is a change of the configuration, made at once or, where it is of
// more than one voter, by a joint one that ends itself.
type Change struct {
	Voter   uint64   // becomes one; 0 for none
	Learner uint64   // becomes one; 0 for none
	Remove  []uint64 // leave
	Context []byte   // the vault's

	decoded *pb.ConfChangeV2
}

func (c Change) proto() *pb.ConfChangeV2 {
	if c.decoded != nil {
		return c.decoded
	}
	v2 := &pb.ConfChangeV2{Context: c.Context}
	add := func(t pb.ConfChangeType, id uint64) {
		v2.Changes = append(v2.Changes, &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(id)})
	}
	if c.Voter != 0 {
		add(pb.ConfChangeAddNode, c.Voter)
	}
	if c.Learner != 0 {
		add(pb.ConfChangeAddLearnerNode, c.Learner)
	}
	for _, id := range c.Remove {
		add(pb.ConfChangeRemoveNode, id)
	}
	return v2
}

// DecodeChange reads the change of a committed entry of IsChange. An entry
// without one, which ends a joint configuration, gives the empty change.
func DecodeChange(e Entry) (Change, error) {
	if pb.EntryType(e.Kind) == pb.EntryConfChange {
		c := new(pb.ConfChange)
		if err := proto.Unmarshal(e.Data, c); err != nil {
			return Change{}, err
		}
		return Change{Context: c.GetContext(), decoded: c.AsV2()}, nil
	}
	c := new(pb.ConfChangeV2)
	if err := proto.Unmarshal(e.Data, c); err != nil {
		return Change{}, err
	}
	return Change{Context: c.GetContext(), decoded: c}, nil
}
