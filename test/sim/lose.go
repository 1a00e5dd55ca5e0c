package sim

import "time"

// loses has a majority of the boxes lose their disks, when all have all: then
// nothing is lost, but those that are left, who resume as who they were, have no
// majority for ever, until custodians start the island again from them.
func (s *Sim) loses() bool {
	if !s.runUntil(s.now+serving, func() bool { return s.agree(false) && s.all((*box).votes) }) {
		s.violate("P5: not all boxes vote and are at one place %s after the last fault", healing+serving)
		return false
	}
	s.runFor(settling) // and have it on their disks
	s.Counts.Blackouts++
	for n, at := range s.rand.Perm(len(s.boxes)) {
		b := s.boxes[at]
		b.crash()
		if n <= len(s.boxes)/2 {
			s.Counts.Wipes++
			b.note("box %d gets an empty disk", b.number)
			b.disk = newDisk()
		}
		s.after(s.between(0, 2*time.Second), b.restart)
	}
	ordered := s.Counts.ColdStarts
	s.start(func(p *process) {
		for s.Counts.ColdStarts == ordered && s.leader() == nil {
			p.sleep(3 * time.Second)
			s.coldStart()
		}
	})
	if !s.runUntil(s.now+leaderless+serving, func() bool { return s.leader() != nil }) {
		s.violate("P5: no leader after a majority lost its disks and custodians came")
	}
	if s.Counts.ColdStarts == ordered {
		s.violate("a box leads, without a majority and without custodians")
	}
	return len(s.Violations()) == 0
}

// leaderless is how long members of a run wait for a leader before custodians
// may start another one (spec/island.md).
const leaderless = 30 * time.Second
