package vault

import "slices"

// tellTime sets the leader's time: the latest that so many clocks have reached
// that one of them belongs to an honest host, if the hosts of a minority lie.
// Of all boxes' clocks that is the median. Clocks are taken as they were last
// heard: nothing is added for the time since, which is for the leader's host to
// tell.
//
// The attack that it stops: the host of the leader sets its clock ahead, and
// waits between guesses are over.
func (g *group) tellTime(v *Vault) {
	if !g.status.Leads {
		return
	}
	clocks := []uint64{v.ownMillis}
	for _, p := range g.peers {
		if p.clock > 0 {
			clocks = append(clocks, p.clock)
		}
	}
	if len(clocks) < g.majority {
		return
	}
	slices.Sort(clocks)
	v.nowMillis = max(v.nowMillis, clocks[len(clocks)-g.majority])
}
