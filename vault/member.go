package vault

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/consensus"
)

const (
	changeTicks    = 100 // a change that is not through by then is proposed again
	catchUpEntries = 256 // a learner that lacks no more may vote
)

// joins tells whether messages of a run are for this box, and has it take part
// in that run where it takes part in none. A box that is a member of another
// run is not drawn out of it: an order that was signed too late would else tear
// it apart. One that left its run for an order is drawn back by that run's
// leader at once, by others who ask for its vote, and have no leader either,
// only when the order's run has not come for a while.
func (g *group) joins(v *Vault, run wire.GroupID, led bool) bool {
	switch {
	case run == (wire.GroupID{}):
		return false
	case g.raft != nil && run == g.id:
		return true
	case g.raft != nil && g.conf.Has(g.member):
		return false
	case run == g.id && !led && g.leftAt != 0 && g.ticks < g.leftAt+leaderlessTicks:
		return false
	}
	if run != g.id {
		g.forget(run)
	}
	g.start.ID = g.member
	g.begin(v)
	return g.raft != nil
}

// admit has a leader let in who can be heard: as a learner first, then, when
// it has caught up, as the one voter of its box.
func (g *group) admit(v *Vault) {
	if g.conf.Joint() || g.ticks < g.changing {
		return
	}
	if len(g.wanted) > 0 { // first: of who is let in, all must know whose place it is
		g.proposeReplacement(v)
		return
	}
	for _, progress := range g.raft.Progress() {
		p := g.peerWith(progress.ID)
		if p == nil || !progress.Learner || !p.up() || progress.Match == 0 || progress.Match+catchUpEntries < g.status.Commit {
			continue
		}
		g.proposeChange(v, consensus.Change{Voter: progress.ID, Remove: g.othersOf(p)}, membership{p.inMember, p.box})
		return
	}
	for _, p := range g.peers {
		if p.up() && p.inMember != 0 && !g.conf.Has(p.inMember) {
			g.proposeChange(v, consensus.Change{Learner: p.inMember, Remove: g.learnersOf(p)}, membership{p.inMember, p.box})
			return
		}
	}
	if absent := g.voiceless(); len(absent) > 0 && len(g.peers)+1-len(absent) >= g.majority {
		// After a cold start without it: it votes for nothing until it comes, but
		// it counts.
		m := membership{g.absentee(absent[0]), absent[0].box}
		g.proposeChange(v, consensus.Change{Voter: m.Member}, m)
	}
}

// absentee is a member that no box is.
func (g *group) absentee(p *peer) uint64 {
	hash := sha256.Sum256(append(append([]byte("strongroom/v1/absent"), g.id[:]...), p.box[:]...))
	return binary.BigEndian.Uint64(hash[:])>>1 + 1
}

func (g *group) proposeChange(v *Vault, c consensus.Change, m membership) {
	context, err := wire.Encode(m)
	if err != nil {
		v.fail(err)
		return
	}
	c.Context = context
	g.changing = g.ticks + changeTicks
	g.must(v, g.raft.ProposeChange(c))
}

// othersOf are the members that a box was before.
func (g *group) othersOf(p *peer) (others []uint64) {
	for m, b := range g.members {
		if b == p.box && m != p.inMember && g.conf.Has(m) {
			others = append(others, m)
		}
	}
	slices.Sort(others)
	return others
}

func (g *group) learnersOf(p *peer) []uint64 {
	return slices.DeleteFunc(g.othersOf(p), func(m uint64) bool { return !slices.Contains(g.conf.Learners, m) })
}

// change applies a committed change of the configuration.
func (g *group) change(v *Vault, e consensus.Entry) {
	if e.Index <= g.forced {
		return // of before the cold start: its members are gone
	}
	c, err := consensus.DecodeChange(e)
	if err != nil {
		v.fail(errState)
		return
	}
	if len(c.Context) > 0 {
		var m membership
		if wire.Decode(c.Context, &m) != nil {
			v.fail(errState)
			return
		}
		g.members[m.Member] = m.Box
	}
	after, err := g.raft.Change(c)
	if err != nil {
		v.fail(err)
		return
	}
	g.conf, g.changedAt, g.changing = after, e.Index, 0
	for m := range g.members {
		if !after.Has(m) {
			delete(g.members, m)
		}
	}
	// Written at once: after a power cut of all boxes nobody else could tell
	// that members who are no more need not be asked.
	state := g.raft.State()
	state.Commit = max(state.Commit, e.Index)
	g.note(v, journalRecord{State: &state})
}

// handOver has another voter lead, before this box stops.
func (g *group) handOver(v *Vault) {
	if g.status.HandsOver {
		return
	}
	best := consensus.Progress{}
	for _, p := range g.raft.Progress() {
		if p.ID != g.member && !p.Learner && p.Active && (best.ID == 0 || p.Match > best.Match) {
			best = p
		}
	}
	if best.ID != 0 {
		g.must(v, g.raft.HandOver(best.ID))
	}
}

// order takes the custodians' word that the island starts, or starts again.
func (g *group) order(v *Vault, b []byte) {
	o, err := bundle.DecodeOrder(b)
	if err != nil || !g.free() {
		return
	}
	fleet, boxes := v.fleet, g.boxes
	v.out.Jobs = append(v.out.Jobs, task(func(hal.HAL) result {
		err := fleet.CheckOrder(boxes, o)
		return func(v *Vault) { g.ordered(v, o, err) }
	}))
}

// leaderlessTicks is after how long without a leader a member takes an order:
// its run is at an end, unless a majority comes back.
const leaderlessTicks = 600

// free tells whether this box may take an order.
func (g *group) free() bool {
	return g.raft == nil || !g.conf.Has(g.member) || g.ticks > g.ledAt+leaderlessTicks
}

// leave has a member take part no more in a run that has no majority. It keeps
// all that it has: should that run's leader come back first, it is who it was.
func (g *group) leave(v *Vault) {
	g.start = consensus.Start{
		ID: g.member, State: g.raft.State(), Base: g.applied, Members: g.conf, Entries: g.raft.Entries(g.applied.Index),
	}
	for _, a := range g.queue {
		if a.record != nil {
			v.unpin(a.record)
		}
	}
	g.raft, g.queue, g.conf, g.status, g.leading = nil, nil, consensus.Configuration{}, consensus.Status{}, false
	g.leftAt = max(g.ticks, 1)
}

// ordered has the first box of an order start alone, from all that it has; the
// others join it. It serves nobody before a majority has.
//
// The attacks that it stops:
//  1. An order of another day: the boots that it names are gone.
//  2. An order beside an island that runs: a box that hears its leader does not
//     follow, nor one whose log has grown since it was shown; and less than a
//     majority serves nobody.
//  3. A box with an older disk made the first: the custodians saw what each has.
func (g *group) ordered(v *Vault, o bundle.Order, refused error) {
	id, err := o.ID()
	if refused != nil || err != nil || !g.free() || id == g.id || !slices.Contains(o.Shown, g.shown(v)) {
		return
	}
	if o.First() != g.shown(v) {
		if g.raft != nil && g.conf.Has(g.member) {
			g.leave(v)
		}
		return
	}
	term := uint64(0)
	for _, s := range o.Shown {
		term = max(term, s.Term)
	}
	if g.raft != nil {
		g.leave(v)
	}
	entries, base := g.start.Entries, g.start.Base
	g.sending, g.arriving = nil, nil
	g.id, g.applied, g.changedAt = id, base, 0
	g.conf = consensus.Configuration{Voters: []uint64{g.member}}
	g.members = map[uint64]wire.BoxID{g.member: g.self}
	g.forced, g.forcing = base.Index+uint64(len(entries)), true
	g.start = consensus.Start{ID: g.member, State: consensus.State{Term: term}, Base: base, Members: g.conf, Entries: entries}
	g.begin(v)
	if g.raft == nil {
		return
	}
	for i := range entries {
		g.note(v, journalRecord{Entry: &entries[i]})
		g.places[entries[i].Index] = v.ledger.Head()
	}
	g.must(v, g.raft.Campaign())
}

// shown is what custodians are shown of this box.
func (g *group) shown(v *Vault) wire.Shown {
	s := wire.Shown{Box: g.self, Boot: wire.Boot(v.boot)}
	last := g.applied
	if g.raft != nil {
		if p := g.raft.LastPosition(); p.Index > last.Index {
			last = p
		}
	} else if n := len(g.start.Entries); n > 0 {
		last = g.start.Entries[n-1].Position()
	}
	s.Term, s.Last = last.Term, last.Index
	return s
}
