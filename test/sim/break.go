package sim

import (
	"time"

	"strongroom/hsm/hsmtest"
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
		switch dice := s.rand.IntN(13); {
		case dice < 3:
			s.crashes(b, nil)
		case dice < 5 && plan.Put:
			s.crashes(b, copies[b.number])
		case dice < 7:
			s.cuts(b)
		case dice == 7:
			s.jumps(b, plan)
		case dice == 8: // SIGSTOP, or a virtual machine that moves
			s.Counts.SlowHSMs++
			b.paused = s.now + s.between(0, 3*time.Second)
		case dice == 9:
			s.slow(b)
		case dice == 10:
			s.fails(b)
		case dice == 11:
			s.wipes(b)
		default:
			s.blackout(plan, copies)
		}
	}
}

// fails has a box's HSM lose one of its next calls, done or not: the box may
// stop for it.
func (s *Sim) fails(b *box) {
	if !b.up() || !s.mayFall(b) {
		return
	}
	s.Counts.HSMs++
	b.mayStop = true
	left, kind := 1+s.rand.IntN(8), hsmtest.Cut+hsmtest.FaultKind(s.rand.IntN(2))
	b.holder.Judge(func() hsmtest.Fault {
		if left--; left == 0 {
			return hsmtest.Fault{Kind: kind}
		}
		return hsmtest.Fault{}
	})
	life := b.life
	over := func() {
		if b.life == life { // it took no harm
			b.holder.Judge(nil)
			b.mayStop = false
		}
	}
	s.after(2*time.Second, func() {
		if left > 0 {
			over()
		} else {
			s.after(heard, over)
		}
	})
}

// heard is how long it may take until a box hears of a lost call: it was paused
// meanwhile.
const heard = 5 * time.Second

// wipes gives a box an empty disk.
func (s *Sim) wipes(b *box) {
	if len(s.boxes) == 1 || !b.up() || !s.mayFall(b) {
		return
	}
	s.Counts.Wipes++
	b.crash()
	b.disk = newDisk()
	b.note("box %d gets an empty disk", b.number)
	s.after(s.between(0, 2*time.Second), b.restart)
}

// blackout cuts the power of all boxes at once; a minority comes back with
// disks of before, if the plan has that. Where nobody resumes as who he was,
// custodians start the island again.
func (s *Sim) blackout(plan Plan, copies [][]backup) {
	older := 0 // of those that have lost what they had, a minority
	for _, b := range s.boxes {
		if !b.votes() {
			older++
		}
	}
	// One is enough of a pause for a run. Boxes that resume as who they were can
	// not be ordered to begin anew: without a majority of them all were over.
	if s.Counts.Blackouts > 0 || !s.Files && older > (len(s.boxes)-1)/2 {
		return
	}
	s.Counts.Blackouts++
	s.note("all boxes crash")
	for _, b := range s.boxes {
		b.crash()
		if n := len(copies[b.number]); plan.Put && n > 0 && older < (len(s.boxes)-1)/2 {
			older++
			s.Counts.Rollbacks++
			b.putBack(copies[b.number][s.rand.IntN(n)])
		}
		s.after(s.between(0, 2*time.Second), b.restart)
	}
	if len(s.boxes) > 1 {
		s.start(func(p *process) {
			for range 60 {
				p.sleep(3 * time.Second)
				if s.leader() != nil || s.coldStart() {
					return
				}
			}
		})
	}
}

// settling is how long a box may need to write down that it has a vote.
const settling = time.Second

func (b *box) hasVote() bool {
	return !b.report.Changing && (b.report.Role == wire.RoleFollower || b.report.Role == wire.RoleCandidate || b.report.Role == wire.RoleLeader)
}

// votes tells whether a box counts for a majority: it is up, has a vote, and
// knows of no change that needs the votes of members who are no more.
func (b *box) votes() bool {
	return b.up() && !b.mayStop && b.hasVote() && b.now > b.settled+settling
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
func (s *Sim) jumps(b *box, plan Plan) {
	s.Counts.Jumps++
	// A box's own time does not go back: after such a jump it makes no checkpoint for as long.
	if b.number < (len(s.boxes)-1)/2 && !plan.Compare {
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
	within := serving
	if compared {
		within = checkpoint
	}
	if !s.runUntil(s.now+within, func() bool { return s.agree(compared) }) {
		for _, b := range s.boxes {
			s.violate("P5: box %d (up: %t) has applied entry %d of %d and has root %x of entry %d", b.number, b.up(), b.report.Applied, b.report.Commit, b.report.Root[:4], b.report.RootAt)
		}
	}
}

// agree tells whether all boxes are at one place, and, compared, at one root.
func (s *Sim) agree(compared bool) bool {
	o := s.boxes[0]
	return s.all(func(b *box) bool {
		return b.up() && b.report.Applied == o.report.Applied && (!compared || b.report.Root == o.report.Root && b.report.RootAt == o.report.RootAt)
	})
}

func (s *Sim) all(is func(*box) bool) bool {
	for _, b := range s.boxes {
		if !is(b) {
			return false
		}
	}
	return true
}
