package peer

import (
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

// Errors of two nodes that do not belong together.
var (
	// ErrStranger: the other end's key has no pin here, or another box's.
	ErrStranger = errors.New("peer: the other end's key is not pinned")
	// ErrVersion: it speaks another version of this protocol.
	ErrVersion = errors.New("peer: the other node speaks another version")
	// ErrFleet: its box is of another fleet.
	ErrFleet = errors.New("peer: the other node's box is of another fleet")
	// ErrBox: it is, or looks for, another box than its key and address say.
	ErrBox = errors.New("peer: the other node has another box")
)

// hello is what each end says first, of 49 bytes: the version, and as far as
// that is known the fleet, the box that speaks and the box that is spoken to.
type hello struct {
	version  uint8
	fleet    wire.FleetID
	from, to wire.BoxID
}

const (
	helloBytes    = 1 + wire.FleetIDBytes + 2*wire.BoxIDBytes
	helloBytesMax = 1 << 10 // of later versions too: so that they can be told from strangers
)

func (h hello) encode() []byte {
	b := append([]byte{h.version}, h.fleet[:]...)
	b = append(b, h.from[:]...)
	return append(b, h.to[:]...)
}

func parseHello(b []byte) (h hello, err error) {
	if b[0] != Version {
		return h, fmt.Errorf("%w: %d, this one %d. Nothing was lost; bring both to one release", ErrVersion, b[0], Version)
	}
	if len(b) != helloBytes {
		return h, fmt.Errorf("%w: a hello of %d bytes", ErrFrame, len(b))
	}
	h.version = b[0]
	b = b[1+copy(h.fleet[:], b[1:]):]
	b = b[copy(h.from[:], b):]
	copy(h.to[:], b)
	return h, nil
}

// check compares the other end's hello with ours; from is the box to which its
// key is pinned.
func (h hello) check(ours hello, from wire.BoxID) error {
	switch {
	case h.fleet != ours.fleet:
		return fmt.Errorf("%w: %x, this one's %x", ErrFleet, h.fleet, ours.fleet)
	case h.from != from:
		return fmt.Errorf("%w: it says that it is %s, and its key is pinned to %s", ErrBox, h.from, from)
	case h.to != ours.from:
		return fmt.Errorf("%w: it looks for %s, this is %s", ErrBox, h.to, ours.from)
	}
	return nil
}

// greet exchanges hellos. Each end says its own before it judges the other's,
// so that both learn why they do not belong together.
func (s *stream) greet(ours hello) error {
	if err := s.write(kindHello, ours.encode()); err != nil {
		return err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	k, b, err := s.read()
	if err != nil {
		return err
	}
	if k != kindHello {
		return fmt.Errorf("%w: kind %d, where a hello belongs", ErrFrame, k)
	}
	theirs, err := parseHello(b)
	if err != nil {
		return err
	}
	return theirs.check(ours, ours.to)
}
