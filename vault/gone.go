package vault

import "strongroom/protocol/wire"

// Of the Raft clock, after the host told that the leader's process ended.
const (
	goneTicks    = 2 // a leader that lives is heard again before that
	staggerTicks = 2 // between two boxes that ask for the lead
)

// gone has a box whose leader's process ended, as its host says, wait for it
// no longer: it would grant another box its vote now, and asks for votes
// itself, one box after the other, so that they are not split. Raft alone
// waits ElectionTicks and more.
//
// A host that lies gains no more than one that gives too many ticks: the others,
// who hear the leader, grant nothing (PreVote, CheckQuorum), and its next word
// makes it this box's leader again.
func (g *group) gone(v *Vault, box wire.BoxID) {
	if g.raft == nil {
		return
	}
	leader := g.raft.Status().Leader
	if leader == 0 || leader == g.member || g.members[leader] != box {
		return
	}
	g.must(v, g.raft.ForgetLeader())
	before := 0
	for _, m := range g.conf.Voters {
		if m != leader && m < g.member {
			before++
		}
	}
	g.campaignAt = g.ticks + goneTicks + uint64(before)*staggerTicks
}

// campaign asks for votes when its time has come, and no leader before it.
func (g *group) campaign(v *Vault) {
	if g.campaignAt == 0 || g.ticks < g.campaignAt {
		return
	}
	g.campaignAt = 0
	if s := g.raft.Status(); s.Leader == 0 && !s.Candidate {
		g.must(v, g.raft.Campaign())
	}
}
