package sim

import (
	"bytes"
	"time"

	"strongroom/protocol/wire"
)

// network is what lies between the machines.
type network struct {
	cut  [][]bool          // [from][to]: nothing passes
	last [][]time.Duration // [from][to]: when the newest message arrives
}

func newNetwork(n int) network {
	var w network
	for range n {
		w.cut = append(w.cut, make([]bool, n))
		w.last = append(w.last, make([]time.Duration, n))
	}
	return w
}

// carry takes a request or its answer from one node to another, by a
// connection that neither repeats nor changes the order: it may break.
func (s *Sim) carry(from, to int, arrive func()) {
	if s.net.cut[from][to] {
		return
	}
	if s.chance(s.faults.drop) {
		s.Counts.Drops++
		return
	}
	s.after(s.between(100*time.Microsecond, s.faults.net), arrive)
}

// send takes a message from one box to another, or not.
func (s *Sim) send(from, to int, arrive func()) {
	f := &s.faults
	switch {
	case s.net.cut[from][to]:
		return
	case s.chance(f.drop):
		s.Counts.Drops++
		return
	}
	at := max(s.now+s.between(100*time.Microsecond, f.net), s.net.last[from][to])
	if s.chance(f.late) {
		s.Counts.Late++
		at += s.between(0, 20*f.net)
	} else {
		s.net.last[from][to] = at
	}
	s.after(at-s.now, arrive)
	if s.chance(f.repeat) {
		s.Counts.Repeats++
		s.after(at-s.now+s.between(0, 10*f.net), arrive)
	}
}

// forward carries what a box says to another one.
func (b *box) forward(m wire.Send) {
	to := b.byID(m.To)
	if to == nil || to == b {
		b.violate("box %d sends to box %s, which there is not", b.number, m.To)
		return
	}
	if b.lost != nil && b.lost(b, to) {
		return
	}
	message := wire.Received{From: b.id, Bytes: m.Bytes}
	if b.chance(b.faults.gone) {
		b.Counts.Untrue++
		to.lose(b)
	}
	b.send(b.number, to.number, func() {
		m := message
		if b.chance(b.faults.corrupt) {
			b.Counts.Corrupt++
			m.Bytes = bytes.Clone(m.Bytes)
			m.Bytes[b.rand.IntN(len(m.Bytes))] ^= 1 << b.rand.IntN(8)
		}
		to.receive(m)
	})
}

func (s *Sim) byID(id wire.BoxID) *box {
	for _, b := range s.boxes {
		if b.id == id {
			return b
		}
	}
	return nil
}
