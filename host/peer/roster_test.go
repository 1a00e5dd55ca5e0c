package peer

import (
	"testing"

	"strongroom/protocol/wire"
)

// A box takes a lost one's place while the nodes run: the others keep their
// lines to one another, and whoever has no place any more is a stranger.
func TestBecome(t *testing.T) {
	sides := ring(t, 4)
	boxes := append([]Box{sides[1].config.Boxes[0]}, sides[0].config.Boxes...)
	lost, fresh := sides[2], sides[3]
	with := func(s *side, third int) (others []Box) {
		for _, i := range []int{0, 1, third} {
			if sides[i] != s {
				others = append(others, boxes[i])
			}
		}
		return others
	}
	for i, s := range sides {
		s.config.Boxes = with(s, max(i, 2))
	}
	for _, s := range sides[:3] {
		s.start()
	}
	for _, s := range sides[:3] {
		until(t, "all are connected", s.connected(2))
	}
	connects := sides[0].peers.Status()[0].Counts.Connects
	for _, s := range sides[:2] {
		s.peers.Become(with(s, 3))
	}
	fresh.start()
	for _, s := range []*side{sides[0], sides[1], fresh} {
		until(t, "the new box is connected", s.connected(2))
	}
	until(t, "the lost one has no line", lost.connected(0))
	until(t, "it is a stranger", func() bool { return sides[0].peers.Refused()["stranger"] > 0 })
	if now := sides[0].peers.Status()[0].Counts.Connects; now != connects {
		t.Errorf("the line between the two that stayed was made %d times, then %d", connects, now)
	}
	sides[0].peers.Send(wire.Send{To: lost.config.Box, Bytes: []byte("nobody")})
	sides[0].peers.Send(wire.Send{To: fresh.config.Box, Bytes: []byte("hello")})
	if r := <-fresh.received; string(r.Bytes) != "hello" || r.From != sides[0].config.Box {
		t.Errorf("%+v", r)
	}
}
