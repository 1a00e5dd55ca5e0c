package vault

import (
	"encoding/binary"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/consensus"
	"strongroom/vault/internal/tree"
)

const (
	partRecordsMax = 64 // of one part: with a record of a few KiB far below what a message may hold
	partsOut       = 4  // parts that are not acknowledged
	partTicks      = 20 // then they are sent again
	streamTicks    = 200
)

// sending is the record tree on its way to a box that is too far behind the
// log, as the newest checkpoint has it: no other one is made meanwhile.
type sending struct {
	snapshot consensus.Snapshot
	to       *peer
	id       uint64
	head     wire.StreamHead

	at      tree.Path // the last record that is in a part
	ended   bool      // all are
	reading []slot    // of the next part, in their order
	missing int       // reads that are not answered
	next    uint64    // number of the next part
	parts   []wire.StreamPart
	sent    uint64 // ticks
	moved   uint64 // ticks at the last acknowledgement
	done    bool   // the other box has all of it
}

// slot is a record of the next part.
type slot struct {
	path      tree.Path
	plaintext []byte
}

// send begins a stream, unless one is under way: Raft asks again.
func (g *group) send(v *Vault, s consensus.Snapshot) {
	p := g.peerWith(s.To)
	state, err := encodeState(g.savedState(v, s))
	if p == nil || !p.up() || g.sending != nil || v.saving != nil || s.At.Index != g.savedAt || err != nil {
		g.must(v, g.raft.Streamed(s.To, false))
		return
	}
	var drawn [8]byte
	if _, err := io.ReadFull(v.rand, drawn[:]); err != nil {
		v.fail(err)
		return
	}
	g.sending = &sending{
		snapshot: s, to: p, id: binary.BigEndian.Uint64(drawn[:]), moved: g.ticks,
		head: wire.StreamHead{Root: v.saved.Root.Hash, Leaves: v.saved.Root.Leaves, State: state, Raft: s.Message},
	}
}

// savedState is what the island had agreed on at the newest checkpoint: Raft
// names the place and the configuration.
func (g *group) savedState(v *Vault, s consensus.Snapshot) groupState {
	state := g.state(v)
	state.Applied, state.Conf, state.Member, state.State = s.At, s.Members, 0, consensus.State{}
	state.Homes = v.layouts.saved // what comes after it is in the log, under what was known then
	return state
}

// streams goes on with a stream to another box.
func (g *group) streams(v *Vault) {
	g.raft.Hold(v.saving != nil || g.sending != nil || g.arriving != nil || g.changedAt > g.savedAt || g.forcing)
	s := g.sending
	if s == nil {
		return
	}
	if s.done || g.ticks > s.moved+streamTicks || !s.to.up() {
		g.endStream(v, s.done)
		return
	}
	for len(s.parts) < partsOut && !s.ended && s.missing == 0 && v.out.Fatal == nil {
		s.gather(v)
	}
	if len(s.parts) > 0 && g.ticks >= s.sent+partTicks {
		s.sent = g.ticks
		for i := range s.parts {
			s.to.parcels = append(s.to.parcels, wire.Parcel{Part: &s.parts[i]})
		}
	}
}

// gather reads the records of the next part.
func (s *sending) gather(v *Vault) {
	for len(s.reading) < partRecordsMax {
		sight, p := v.tree.Next(s.at)
		if sight == tree.Missing {
			if s.missing > 0 {
				return // the records first
			}
			s.missing++
			v.read(p, false, func([]byte) { s.missing-- })
			return
		}
		if sight == tree.Absent {
			s.ended = true
			break
		}
		s.at = p
		s.missing++
		s.reading = append(s.reading, slot{path: p})
		at := len(s.reading) - 1
		v.read(p, true, func(page []byte) {
			_, mac := v.tree.Find(p)
			plaintext, _, err := v.openPage(p, mac, page)
			if err != nil {
				v.fail(err)
				return
			}
			s.reading[at].plaintext = plaintext
			if s.missing--; s.missing == 0 {
				s.pack(v)
			}
		})
	}
	if s.missing == 0 {
		s.pack(v)
	}
}

// pack makes a part of what was read.
func (s *sending) pack(v *Vault) {
	if len(s.reading) < partRecordsMax && !s.ended {
		return
	}
	part := wire.StreamPart{Stream: s.id, Number: s.next, Last: s.ended}
	if s.next == 0 {
		part.Head = &s.head
	}
	for _, r := range s.reading {
		part.Records = append(part.Records, r.plaintext)
	}
	s.next++
	s.reading, s.parts = nil, append(s.parts, part)
	s.to.parcels = append(s.to.parcels, wire.Parcel{Part: &part})
	s.sent = v.group.ticks
}

// took takes an acknowledgement.
func (g *group) took(p *peer, t wire.StreamTook) {
	s := g.sending
	if s == nil || s.to != p || s.id != t.Stream {
		return
	}
	for len(s.parts) > 0 && s.parts[0].Number <= t.Number {
		s.parts, s.moved = s.parts[1:], g.ticks
	}
	if t.Ended {
		s.done = true
	}
}

// endStream tells Raft what became of it.
func (g *group) endStream(v *Vault, well bool) {
	to := g.sending.snapshot.To
	g.sending = nil
	g.must(v, g.raft.Streamed(to, well))
}
