package vault

import (
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

const markTicks = 200 // a mark that is not through by then is proposed again

// mark is an entry at which all boxes make a checkpoint, and compare the one
// before.
type mark struct {
	At   uint64   `cbor:"1,keyasint"` // the leader's newest checkpoint; 0 for none that all made
	Root [32]byte `cbor:"2,keyasint"` // the record tree there
}

// mark has the leader propose a checkpoint when it is time.
func (g *group) mark(v *Vault) {
	if g.ticks < g.marking || !v.wantsSave() || v.saving != nil {
		return
	}
	payload, err := wire.Encode(mark{g.savedAt, v.saved.Root.Hash})
	if err != nil {
		v.fail(err)
		return
	}
	g.marking = g.ticks + markTicks
	g.must(v, g.raft.Propose(stamp{v.boot, 0, v.nowMillis, stampMark}.append(payload)))
}

// marked compares roots and begins a checkpoint, at the same entry on every
// box.
//
// The attack that it stops: a host changes its box's pages in a way that its
// box does not see. Its root is then another one than the island's.
func (g *group) marked(v *Vault, payload []byte) {
	var m mark
	if wire.Decode(payload, &m) != nil {
		v.fail(errState)
		return
	}
	g.marking = 0
	if m.At != 0 && m.At == g.savedAt && m.Root != v.saved.Root.Hash {
		v.fail(fmt.Errorf("%w: at entry %d", ErrRoot, m.At))
		return
	}
	if v.saving == nil && g.sending == nil && g.arriving == nil && v.alerts.settled() {
		v.beginSave()
	}
}

// savesAlone tells whether this box makes a checkpoint that the others do not: for
// its own epochs, after a cold start, for a box that needs a snapshot, or when
// no leader has had one made for long.
func (g *group) savesAlone(v *Vault) bool {
	if g.sending != nil || g.arriving != nil {
		return false
	}
	alone := v.turn.wantsCheckpoint(v) || g.forcing && g.applied.Index > g.forced && g.savedAt <= g.forced
	alone = alone || g.raft != nil && g.raft.WantsSnapshot() && g.changedAt > g.savedAt
	return alone || len(v.changed) >= 2*changedMax || v.head.Index-v.saved.Head.Index >= 2*entriesMax
}

// enterCheckpoint says what a checkpoint stands for.
func (g *group) enterCheckpoint(v *Vault, s *saving) {
	state := g.state(v)
	var err error
	if s.checkpoint.Group, err = encodeState(state); err != nil {
		v.fail(err)
	}
	s.checkpoint.Head = g.journalHead(v)
	s.state = &state
}

// keptCheckpoint gives back what a checkpoint stands for, but for what other
// boxes may still need.
func (g *group) keptCheckpoint(v *Vault, s *saving) {
	if s.state.Group != g.id {
		return // begun before the box joined another run
	}
	at := s.state.Applied
	v.layouts.saved = s.state.Homes
	g.savedAt = at.Index
	before := at.Index - min(at.Index, logSlack)
	if g.forcing && at.Index > g.forced {
		// Nobody continues a log of before the cold start: all others get the
		// tree, and with it the configuration.
		before, g.forcing = at.Index+1, false
	}
	if g.raft != nil {
		g.raft.Compact(at, s.state.Conf, before)
	}
	for i := range g.places {
		if i < at.Index {
			delete(g.places, i)
		}
	}
}

// tell tells the node of the island, when something is new.
func (g *group) tell(v *Vault) {
	r := wire.IslandReport{
		Box: g.self, Term: g.status.Term, Commit: g.status.Commit, Applied: g.applied.Index, Root: v.saved.Root.Hash, RootAt: g.savedAt,
		Epoch: v.epochs.Number(), Shown: wire.Shown{Box: g.self}, Group: g.id, Role: g.role(),
		Changing: g.conf.Joint(),
	}
	if g.free() { // else an order is not for it
		r.Shown = g.shown(v)
	}
	if g.status.Leads && g.leading {
		r.Leader = g.self
	} else if !g.status.Leads {
		r.Leader = g.members[g.status.Leader]
	}
	r.Boxes = g.boxReports(v)
	if g.sameReport(r) && (g.ticks%20 != 0 || r.Applied == g.report.Applied) {
		return
	}
	g.report = r
	v.out.Island = &r
}

// sameReport tells whether nothing changed but what changes at every entry.
func (g *group) sameReport(r wire.IslandReport) bool {
	o := g.report
	same := r.Box == o.Box && r.Role == o.Role && r.Leader == o.Leader && r.Term == o.Term && r.RootAt == o.RootAt &&
		r.Epoch == o.Epoch && r.Shown == o.Shown && r.Group == o.Group && r.Changing == o.Changing && len(r.Boxes) == len(o.Boxes)
	for i := range r.Boxes {
		same = same && r.Boxes[i].Box == o.Boxes[i].Box && r.Boxes[i].Member == o.Boxes[i].Member && r.Boxes[i].Role == o.Boxes[i].Role && r.Boxes[i].Heard == o.Boxes[i].Heard
	}
	return same
}

func (g *group) role() wire.Role {
	switch {
	case g.raft == nil || !g.conf.Has(g.member):
		return wire.RoleNone
	case g.status.Leads:
		return wire.RoleLeader
	case g.status.Candidate:
		return wire.RoleCandidate
	}
	if !g.votes(g.member) {
		return wire.RoleLearner
	}
	return wire.RoleFollower
}

// votes tells whether a member votes in all that is decided: while a change is
// half way the majority before it must agree as well.
func (g *group) votes(member uint64) bool {
	return slices.Contains(g.conf.Voters, member) && (!g.conf.Joint() || slices.Contains(g.conf.Outgoing, member))
}

func (g *group) boxReports(v *Vault) (reports []wire.BoxReport) {
	match := map[uint64]uint64{}
	if g.status.Leads {
		for _, p := range g.raft.Progress() {
			match[p.ID] = p.Match
		}
	}
	for _, b := range g.boxes {
		r, is := wire.BoxReport{Box: b.ID(), Heard: b.ID() == g.self}, g.member
		if p := g.peerOf(r.Box); p != nil {
			r.Heard, is = p.up(), p.inMember
		}
		for _, m := range append(append([]uint64(nil), g.conf.Learners...), g.conf.Voters...) {
			if g.members[m] != r.Box || is != 0 && is != m { // it started anew: that voter is no more
				continue
			}
			r.Member, r.Match, r.Role = m, match[m], wire.RoleLearner
			switch {
			case m == g.status.Leader:
				r.Role = wire.RoleLeader
			case g.votes(m):
				r.Role = wire.RoleFollower
			}
		}
		reports = append(reports, r)
	}
	return reports
}
