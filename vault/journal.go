package vault

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/ledger"
)

// journalRecord is what a box of an island writes into its log: one of them.
type journalRecord struct {
	Entry *consensus.Entry `cbor:"1,keyasint,omitempty"` // it takes the place of all from its index on
	State *consensus.State `cbor:"2,keyasint,omitempty"`
	Begin *begin           `cbor:"3,keyasint,omitempty"`
}

// begin is where a box takes part in a run of the island as a member. Entries
// before it are of that run only where it is the same.
type begin struct {
	Group  wire.GroupID `cbor:"1,keyasint"`
	Member uint64       `cbor:"2,keyasint"`
}

// groupState is a checkpoint's part of what the island agreed on, and of what
// this box must not forget.
type groupState struct {
	Group      wire.GroupID            `cbor:"1,keyasint"`
	Member     uint64                  `cbor:"2,keyasint"`
	State      consensus.State         `cbor:"3,keyasint"`
	Applied    consensus.Position      `cbor:"4,keyasint"`
	Conf       consensus.Configuration `cbor:"5,keyasint"`
	Members    []membership            `cbor:"6,keyasint,omitempty"`  // as Replaced beside the rest: see encodeState
	Generation uint32                  `cbor:"7,keyasint,omitempty"`  // of the tree's pages
	Millis     uint64                  `cbor:"8,keyasint,omitempty"`  // the agreed time
	Replaced   [][]byte                `cbor:"9,keyasint,omitempty"`  // certificates
	Homes      []byte                  `cbor:"10,keyasint,omitempty"` // the fleet's layouts
}

// membership says whose a member is.
type membership struct {
	Member uint64     `cbor:"1,keyasint"`
	Box    wire.BoxID `cbor:"2,keyasint"`
}

// membersMax bounds what a configuration ever holds: of each box its voter,
// its next one, and one that is on its way out.
const membersMax = 3 * wire.BoxesMax

func (g *group) state(v *Vault) groupState {
	s := groupState{
		Group: g.id, Member: g.member, State: g.start.State, Applied: g.applied, Conf: g.conf,
		Generation: v.generation, Millis: v.nowMillis, Replaced: g.replaced, Homes: v.layouts.kept,
	}
	if g.raft != nil {
		s.State = g.raft.State()
	}
	// What it says beyond may be of entries that are on their way to the disk,
	// over others that are there still.
	s.State.Commit = min(s.State.Commit, g.applied.Index)
	for m, b := range g.members {
		s.Members = append(s.Members, membership{m, b})
	}
	slices.SortFunc(s.Members, func(a, b membership) int { return cmp.Compare(a.Member, b.Member) })
	return s
}

// encodeState splits off what wire's limit on arrays would refuse.
func encodeState(s groupState) ([]byte, error) {
	members, replaced := s.Members, s.Replaced
	s.Members, s.Replaced = nil, nil
	b, err := wire.Encode(s)
	if err != nil {
		return nil, err
	}
	b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(replaced)))
	for _, r := range replaced {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r))), r...)
	}
	for _, m := range members {
		b = append(binary.BigEndian.AppendUint64(b, m.Member), m.Box[:]...)
	}
	return b, nil
}

var errState = errors.New("vault: what the island agreed on does not parse: another version of the program wrote it")

func decodeState(b []byte) (s groupState, err error) {
	body, rest, err := ledger.Cut(b)
	if err != nil || wire.Decode(body, &s) != nil || len(rest) < 2 {
		return s, errState
	}
	n := binary.BigEndian.Uint16(rest)
	rest = rest[2:]
	for range n {
		var r []byte
		if r, rest, err = ledger.Cut(rest); err != nil {
			return s, errState
		}
		s.Replaced = append(s.Replaced, r)
	}
	const size = 8 + wire.BoxIDBytes
	if len(rest)%size != 0 || len(rest) > membersMax*size {
		return s, errState
	}
	for ; len(rest) > 0; rest = rest[size:] {
		s.Members = append(s.Members, membership{binary.BigEndian.Uint64(rest), wire.BoxID(rest[8:])})
	}
	return s, nil
}

// take makes a state that of this box. Error: its place was taken.
func (g *group) take(v *Vault, s groupState) error {
	g.id, g.applied, g.conf, g.changedAt, g.savedAt = s.Group, s.Applied, s.Conf, s.Applied.Index, s.Applied.Index
	g.members = map[uint64]wire.BoxID{}
	for _, m := range s.Members {
		g.members[m.Member] = m.Box
	}
	v.nowMillis = max(v.nowMillis, s.Millis)
	if err := v.layouts.restore(s.Homes); err != nil {
		return err
	}
	return g.settle(v, s.Replaced)
}

// restore brings a box of an island to where it stopped: the checkpoint, and
// the journal after it.
//
// It comes back as a new member, so an older disk, or an older HSM's memory,
// gains nothing: what this box once voted for or acknowledged counts for a
// member that is no more. Where the HSM can not be put back, and the journal
// reaches its anchor, nothing is forgotten, and it is who it was.
//
// The attacks that it stops:
//  1. Put back a box's folder from before a guess: it is a learner then, has no
//     vote, and gets what it lacks before it has one.
//  2. The same with a majority of the boxes: none of them leads until custodians
//     have seen what each one has.
func (g *group) restore(v *Vault, disk wire.Disk, anchor ledger.Anchor) error {
	if len(v.saved.Group) > 0 {
		s, err := decodeState(v.saved.Group)
		if err != nil {
			return err
		}
		if err := g.take(v, s); err != nil {
			return err
		}
		v.generation = s.Generation
		g.member, g.start.State = s.Member, s.State
	} else if err := g.settle(v, nil); err != nil {
		return err
	}
	g.start.Base, g.start.Members = g.applied, g.conf
	reached, err := g.replay(v, disk, anchor)
	if err != nil {
		return err
	}
	v.durable, v.anchored = v.ledger.Head().Index, v.ledger.Head()
	if reached && g.member != 0 && g.wasLetIn() && g.rollbackProof() {
		g.start.ID, g.resumes = g.member, true
		return nil
	}
	return g.newMember(v)
}

// wasLetIn tells whether the island has this member, as of the checkpoint or of
// a change after it that is known to be committed. Only a newer one of this same
// box takes it out again.
func (g *group) wasLetIn() bool {
	return g.conf.Has(g.member) || slices.ContainsFunc(g.start.Entries, func(e consensus.Entry) bool {
		if !e.IsChange() || e.Index > g.start.State.Commit {
			return false
		}
		var m membership
		c, err := consensus.DecodeChange(e)
		return err == nil && wire.Decode(c.Context, &m) == nil && m.Member == g.member
	})
}

func (g *group) newMember(v *Vault) error {
	var drawn [8]byte
	if _, err := io.ReadFull(v.rand, drawn[:]); err != nil {
		return err
	}
	// Raft keeps zero and the largest for itself.
	g.member = binary.BigEndian.Uint64(drawn[:])%(math.MaxUint64-16) + 1
	g.start.ID = g.member
	g.start.State = consensus.State{Term: g.start.Base.Term}
	if n := len(g.start.Entries); n > 0 {
		g.start.State.Term = g.start.Entries[n-1].Term
	}
	return nil
}

func (g *group) rollbackProof() bool {
	for _, b := range g.boxes {
		if b.ID() == g.self {
			return b.Rollback != rollbackFile
		}
	}
	return false
}

// rollbackFile is the Rollback of an HSM whose memory is a file.
const rollbackFile = "file"

// replay reads the journal after the checkpoint.
func (g *group) replay(v *Vault, disk wire.Disk, anchor ledger.Anchor) (reached bool, err error) {
	reached = v.ledger.Head() == anchor.Head
	for {
		entries, err := disk.Entries(v.ledger.Head().Index)
		if err != nil || len(entries) == 0 {
			return reached, err
		}
		for _, e := range entries {
			plaintext, err := v.ledger.Replay(e)
			if err != nil {
				return false, err
			}
			var r journalRecord
			if err := wire.Decode(plaintext, &r); err != nil {
				return false, fmt.Errorf("%w: entry %d", errState, e.Index)
			}
			g.redo(v, r)
			reached = reached || v.ledger.Head() == anchor.Head
		}
	}
}

func (g *group) redo(v *Vault, r journalRecord) {
	s := &g.start
	switch {
	case r.Begin != nil:
		if r.Begin.Group != g.id {
			g.forget(r.Begin.Group)
		}
		g.member = r.Begin.Member
	case r.State != nil && r.State.Term >= s.State.Term:
		s.State = *r.State
	case r.Entry != nil && r.Entry.Index > s.Base.Index:
		n := int(min(r.Entry.Index-s.Base.Index-1, uint64(len(s.Entries))))
		s.Entries = append(s.Entries[:n:n], *r.Entry)
		if r.Entry.Term > s.State.Term { // its state was to follow, and no vote of that term can be older
			s.State.Term, s.State.Vote = r.Entry.Term, 0
		}
		g.places[r.Entry.Index] = v.ledger.Head()
	}
}

// forget drops what is of another run: its entries mean nothing in this one.
func (g *group) forget(id wire.GroupID) {
	g.id, g.applied, g.conf, g.members = id, consensus.Position{}, consensus.Configuration{}, map[uint64]wire.BoxID{}
	g.start = consensus.Start{ID: g.start.ID}
	g.places = map[uint64]ledger.Head{}
	g.queue, g.savedAt, g.changedAt = nil, 0, 0
}

// begin starts Raft from what the box has.
func (g *group) begin(v *Vault) {
	raft, err := consensus.New(g.start)
	if err != nil {
		v.fail(err)
		return
	}
	g.raft, g.member, g.conf, g.ledAt, g.leftAt = raft, g.start.ID, g.start.Members, g.ticks, 0
	g.note(v, journalRecord{Begin: &begin{g.id, g.member}})
	g.start = consensus.Start{ID: g.member}
	g.look(v)
}

// note writes something into the journal that nothing waits for.
func (g *group) note(v *Vault, r journalRecord) {
	plaintext, err := wire.Encode(r)
	if err != nil {
		v.fail(err)
		return
	}
	v.write([][]byte{plaintext}, func() {})
}
