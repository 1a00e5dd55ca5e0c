package vault

import (
	"slices"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/record"
)

// batch is answers that leave together.
type batch struct {
	number  uint64
	replies []wire.Reply
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
