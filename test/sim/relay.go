package sim

import (
	"time"

	"strongroom/protocol/wire"
)

// relay stands between clients and boxes. It is not trusted: it may lose
// answers, keep requests and show them again, and give them to several boxes.
type relay struct {
	kept []sent
}

// sent is a request that the relay has seen; again notes that it is carried
// out perhaps once more.
type sent struct {
	sealed []byte
	again  func(since time.Duration)
}

const (
	keptMax      = 64
	nodePatience = 8 * time.Second        // of a node that looks for the leader
	nodeLooks    = 100 * time.Millisecond // between looks
)

// post gives a request to some box's node, and the answer to its client.
func (s *Sim) post(sealed []byte, again func(since time.Duration), answer func(wire.Reply)) {
	since := s.now
	deliver := func(r wire.Reply) {
		if s.chance(s.faults.lost) {
			s.Counts.LostAnswers++
			return
		}
		s.after(s.between(100*time.Microsecond, s.faults.net), func() { answer(r) })
	}
	twice := func() { again(since) }
	s.enter(sealed, twice, deliver)
	if s.chance(s.faults.spread) {
		s.Counts.Spreads++
		again(since)
		for range 1 + s.rand.IntN(3) {
			s.enter(sealed, twice, deliver)
		}
	}
	if len(s.relay.kept) < keptMax {
		s.relay.kept = append(s.relay.kept, sent{sealed, again})
	} else {
		s.relay.kept[s.rand.IntN(keptMax)] = sent{sealed, again}
	}
	if s.chance(s.faults.replay) {
		s.Counts.Replays++
		old := s.relay.kept[s.rand.IntN(len(s.relay.kept))]
		old.again(since)
		s.enter(old.sealed, func() {}, func(wire.Reply) {})
	}
}

// enter brings a request to the node of any box.
func (s *Sim) enter(sealed []byte, twice func(), answer func(wire.Reply)) {
	b := s.only
	if b == nil {
		b = s.boxes[s.rand.IntN(len(s.boxes))]
	}
	s.after(s.between(100*time.Microsecond, s.faults.net), func() {
		b.route(sealed, s.now+nodePatience, twice, answer)
	})
}

// route takes a request to the leader's node, and looks for one for a while.
// A box that answers "elsewhere" may have carried it out, and lost the lead
// before it could answer: so it is carried out perhaps twice.
func (b *box) route(sealed []byte, until time.Duration, twice func(), answer func(wire.Reply)) {
	if !b.up() {
		return
	}
	life := b.life
	later := func() {
		if b.now >= until {
			answer(wire.Reply{Refused: wire.CodeUnavailable})
			return
		}
		b.after(nodeLooks, func() {
			if b.life == life {
				b.route(sealed, until, twice, answer)
			}
		})
	}
	reply := func(r wire.Reply) {
		if r.Refused == wire.CodeElsewhere {
			twice()
			later()
			return
		}
		answer(r)
	}
	to := b
	if len(b.boxes) > 1 {
		if to = b.byID(b.report.Leader); to == nil {
			later()
			return
		}
	}
	if to == b {
		b.request(sealed, reply)
		return
	}
	b.carry(b.number, to.number, func() {
		to.request(sealed, func(r wire.Reply) {
			to.carry(to.number, b.number, func() {
				if b.life == life {
					reply(r)
				}
			})
		})
	})
}
