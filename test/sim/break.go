package sim

import (
	"time"

	"strongroom/protocol/wire"
)

// startAll turns all machines on.
func (s *Sim) startAll() {
	for _, b := range s.boxes {
		if err := b.open(); err != nil {
			s.violate("box %d does not open: %v", b.number, err)
		}
	}
}

// breaks breaks something now and then, until an end.
func (s *Sim) breaks(p *process, plan Plan, end time.Duration) {
	copies := make([][]backup, len(s.boxes))
	for {
		p.sleep(s.between(plan.Every/2, 3*plan.Every/2))
		if s.now >= end {
			return
		}
		b := s.boxes[s.rand.IntN(len(s.boxes))]
		if s.chance(0.5) {
			if l := s.leader(); l != nil {
				b = l // where it hurts
			}
		}
		copies[b.number] = append(copies[b.number], b.backup())
		switch dice := s.rand.IntN(10); {
		case dice < 3:
			s.crashes(b, nil)
		case dice < 5 && plan.Put:
			s.crashes(b, copies[b.number])
		case dice < 7:
			s.cuts(b)
		case dice == 7:
			s.jumps(b)
		case dice == 8: // SIGSTOP, or a virtual machine that moves
			s.Counts.SlowHSMs++
			b.paused = s.now + s.between(0, 3*time.Second)
		default:
			s.slow(b)
		}
	}
}

// votes tells whether a box counts for a majority: it is up, has a vote, and
// knows of no change that needs the votes of members who are no more.
func (b *box) votes() bool {
	return b.up() && !b.report.Changing && (b.report.Role == wire.RoleFollower || b.report.Role == wire.RoleCandidate || b.report.Role == wire.RoleLeader)
}

// mayFall tells whether a box may go down and a majority stays: one that
// comes back is none of it before it has a vote again.
func (s *Sim) mayFall(b *box) bool {
	fallen := 0
	for _, o := range s.boxes {
		if o == b || !o.votes() {
			fallen++
		}
	}
	return len(s.boxes) == 1 || fallen <= (len(s.boxes)-1)/2
}

// crashes cuts a box's power, perhaps puts an old copy of its disk back, and
// starts it again after a while.
func (s *Sim) crashes(b *box, copies []backup) {
	if !b.up() || !s.mayFall(b) {
		return
	}
	s.Counts.Crashes++
	s.note("box %d crashes", b.number)
	b.crash()
	if len(copies) > 0 {
		s.Counts.Rollbacks++
		b.putBack(copies[s.rand.IntN(len(copies))])
	}
	s.after(s.between(0, 4*time.Second), b.restart)
}

// jumps has a box's clock wrong: by little, or, where a majority stays right,
// by much. Time is the median.
func (s *Sim) jumps(b *box) {
	s.Counts.Jumps++
	if b.number < (len(s.boxes)-1)/2 {
		b.skew = s.between(-time.Hour, time.Hour)
	} else {
		b.skew = s.between(-time.Second, time.Second)
	}
}

// cuts separates a box from some others, in one direction or both, for a while.
func (s *Sim) cuts(b *box) {
	if len(s.boxes) == 1 {
		return
	}
	s.Counts.Cuts++
	both := s.chance(0.5)
	var ends [][2]int
	for _, o := range s.boxes {
		if o == b || s.chance(0.3) {
			continue
		}
		ends = append(ends, [2]int{b.number, o.number})
		if both {
			ends = append(ends, [2]int{o.number, b.number})
		}
	}
	if s.chance(0.5) {
		for i := range ends {
			ends[i][0], ends[i][1] = ends[i][1], ends[i][0]
		}
	}
	for _, e := range ends {
		s.net.cut[e[0]][e[1]] = true
	}
	s.note("box %d is cut off: %v", b.number, ends)
	s.after(s.between(0, 5*time.Second), func() {
		for _, e := range ends {
			s.net.cut[e[0]][e[1]] = false
		}
	})
}

// slow makes everything slow for a while.
func (s *Sim) slow(b *box) {
	s.Counts.SlowHSMs++
	before := s.faults
	s.faults.hsm, s.faults.disk = 500*time.Millisecond, 200*time.Millisecond
	s.after(s.between(0, 2*time.Second), func() { s.faults.hsm, s.faults.disk = before.hsm, before.disk })
}

// heal ends all faults.
func (s *Sim) heal() {
	s.faults = calm
	s.note("all faults end")
	for _, row := range s.net.cut {
		clear(row)
	}
	for _, b := range s.boxes {
		b.skew, b.paused = 0, 0
		b.restart()
	}
}

// same: all boxes come to one place, and, where it is compared, at the next
// checkpoint to one root.
func (s *Sim) same(compared bool) {
	if len(s.boxes) == 1 {
		return
	}
	at := func() bool {
		for _, b := range s.boxes {
			o := s.boxes[0]
			if !b.up() || b.report.Applied != o.report.Applied || compared && (b.report.Root != o.report.Root || b.report.RootAt != o.report.RootAt) {
				return false
			}
		}
		return true
	}
	within := serving
	if compared {
		within = checkpoint
	}
	if !s.runUntil(s.now+within, at) {
		for _, b := range s.boxes {
			s.violate("P5: box %d (up: %t) has applied entry %d of %d and has root %x of entry %d", b.number, b.up(), b.report.Applied, b.report.Commit, b.report.Root[:4], b.report.RootAt)
		}
	}
}
