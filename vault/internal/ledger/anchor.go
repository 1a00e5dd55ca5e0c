package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"strongroom/protocol/wire"
)

const (
	anchorVersionFirst = 1 // of First light: without a boot
	anchorVersion      = 2
	anchorHeadBytes    = 1 + wire.FleetIDBytes + 8 + sha256.Size
)

// ErrAnchor stops a box at its start.
var ErrAnchor = errors.New("ledger: the HSM's anchor belongs to another fleet or is damaged")

// Boot is drawn anew whenever a box opens.
type Boot [16]byte

// Anchor is what the HSM's durable memory keeps: the head of the log, and
// which start of a box wrote it.
//
// The attack that Boot stops: two boxes at once over one HSM, each with a copy
// of the log, would each give ten guesses. A box writes its own boot before it
// serves; the HSM refuses the next write of the one before (hal.ErrTaken),
// whose entries are then never answered for.
type Anchor struct {
	Head  Head
	Boot  Boot
	First bool // First light wrote it: there was no checkpoint then
}

// Encode gives version || fleet || index (64 bit, big endian) || hash || boot.
func (a Anchor) Encode(fleet wire.FleetID) []byte {
	b := append([]byte{anchorVersion}, fleet[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Head.Index)
	return append(append(b, a.Head.Hash[:]...), a.Boot[:]...)
}

// ParseAnchor undoes Encode, or gives ErrAnchor.
func ParseAnchor(fleet wire.FleetID, b []byte) (Anchor, error) {
	var a Anchor
	if len(b) < anchorHeadBytes || wire.FleetID(b[1:1+wire.FleetIDBytes]) != fleet {
		return a, ErrAnchor
	}
	rest := b[1+wire.FleetIDBytes:]
	a.Head = Head{Index: binary.BigEndian.Uint64(rest), Hash: [32]byte(rest[8:])}
	switch {
	case b[0] == anchorVersionFirst && len(b) == anchorHeadBytes:
		a.First = true
	case b[0] == anchorVersion && len(b) == anchorHeadBytes+len(a.Boot):
		a.Boot = Boot(b[anchorHeadBytes:])
	default:
		return Anchor{}, ErrAnchor
	}
	return a, nil
}
