package vault

import (
	"errors"

	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
	"strongroom/vault/internal/consensus"
)

const (
	// parcelBytesMax is where the next parcel begins: of Raft's messages each
	// is far smaller.
	parcelBytesMax    = 256 << 10
	parcelMessagesMax = 512
)

// peer is another box of the island. Each direction has a session of its own:
// who wants to hear offers a key, who speaks answers it.
type peer struct {
	box   wire.BoxID
	key   []byte // its identity
	clock uint64 // of its node, as last heard; never going back

	// Hearing.
	in       *channel.PeerSession // nil: it can not be heard
	inBoot   wire.Boot
	inMember uint64
	deaf     bool // another session is wanted
	offering bool // a job is out
	offer    *offer
	offers   uint64
	offered  uint64 // when it was last sent, in ticks

	// Speaking.
	out      *channel.PeerSession // nil: it can not hear
	answered [32]byte             // digest of the offer that was last answered
	setup    []byte               // what was answered
	checking bool                 // a job is out
	parcels  []wire.Parcel        // of this Step
	bytes    int                  // of Raft's messages in the last of them
}

// up tells whether both can hear the other.
func (p *peer) up() bool { return p.in != nil && p.out != nil }

func (g *group) peerOf(b wire.BoxID) *peer {
	for _, p := range g.peers {
		if p.box == b {
			return p
		}
	}
	return nil
}

// receive takes what a node says that another box sent. It is nothing until a
// signature or a session says so.
func (g *group) receive(v *Vault, r wire.Received) {
	p := g.peerOf(r.From)
	if p == nil {
		return
	}
	switch wire.PeerKindOf(r.Bytes) {
	case wire.PeerOffer:
		g.offered(v, p, r.Bytes[2:])
	case wire.PeerSetup:
		g.setUp(v, p, r.Bytes[2:])
	case wire.PeerData:
		g.data(v, p, r.Bytes)
	}
}

// data takes a sealed parcel.
func (g *group) data(v *Vault, p *peer, b []byte) {
	if p.in == nil {
		p.deaf = true
		return
	}
	plaintext, err := p.in.Open(b)
	if err != nil {
		p.deaf = p.deaf || errors.Is(err, channel.ErrSession)
		return
	}
	parcel, err := wire.DecodePeer[wire.Parcel](plaintext)
	if err != nil {
		return
	}
	p.clock = max(p.clock, parcel.ClockMillis)
	for _, m := range parcel.Raft {
		// A box speaks for its own member alone.
		if from, leads := consensus.From(m); from == p.inMember && g.joins(v, parcel.Group, leads) {
			g.must(v, g.raft.Step(m))
		}
	}
	if parcel.Part != nil {
		g.part(v, p, parcel.Group, *parcel.Part)
	}
	if parcel.Took != nil {
		g.took(p, *parcel.Took)
	}
}

// post puts a message of Raft's into the next parcel for the box of a member.
// One for a member that nobody is any more is dropped.
func (g *group) post(m consensus.Message) {
	p := g.peerOf(g.members[m.To])
	if p == nil || p.inMember != m.To {
		p = g.peerWith(m.To)
	}
	if p == nil {
		return
	}
	if n := len(p.parcels); n == 0 || p.bytes+len(m.Bytes) > parcelBytesMax || len(p.parcels[n-1].Raft) == parcelMessagesMax {
		p.parcels, p.bytes = append(p.parcels, wire.Parcel{}), 0
	}
	last := &p.parcels[len(p.parcels)-1]
	last.Raft = append(last.Raft, m.Bytes)
	p.bytes += len(m.Bytes)
}

func (g *group) peerWith(member uint64) *peer {
	for _, p := range g.peers {
		if p.inMember == member {
			return p
		}
	}
	return nil
}

// flush seals this Step's parcels. What can not be sent is lost: Raft says it
// again.
func (g *group) flush(v *Vault) {
	for _, p := range g.peers {
		for _, parcel := range p.parcels {
			if p.out == nil {
				break
			}
			parcel.ClockMillis, parcel.Group = v.ownMillis, g.id
			plaintext, err := wire.Encode(parcel)
			if err != nil {
				v.fail(err)
				return
			}
			v.out.Sends = append(v.out.Sends, wire.Send{To: p.box, Bytes: p.out.Seal(plaintext)})
		}
		p.parcels, p.bytes = nil, 0
	}
}
