// Package ledger is the sealed log: the host keeps its bytes, the box keeps
// its head. Each entry is sealed at its place (index, and the hash of all
// before it), so that none can be read, changed, dropped, swapped or replayed
// without the box noticing.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/seal"
)

const (
	entryVersion  = 1
	anchorVersion = 1
	anchorBytes   = 1 + wire.FleetIDBytes + 8 + sha256.Size

	// EntryBytesMax is the largest sealed entry.
	EntryBytesMax = 8 << 10
)

// Errors that stop a box at its start. Each is wrapped with the index.
var (
	ErrEntry    = errors.New("ledger: an entry was changed, or does not follow the one before it")
	ErrRollback = errors.New("ledger: the log is older than the HSM's anchor: entries that were acknowledged are missing")
	ErrAnchor   = errors.New("ledger: the HSM's anchor belongs to another fleet or is damaged")
)

// Head is a place in the log: how many entries there are, and the hash of the
// chain up to there.
type Head struct {
	Index uint64
	Hash  [32]byte
}

// Ledger seals and opens the entries in their order.
type Ledger struct {
	fleet wire.FleetID
	key   *seal.Key
	head  Head
}

// New starts before the first entry.
func New(fleet wire.FleetID, key *seal.Key) *Ledger {
	genesis := sha256.Sum256(append([]byte("strongroom/v1/log/genesis"), fleet[:]...))
	return &Ledger{fleet: fleet, key: key, head: Head{Hash: genesis}}
}

// Head is where the log ends.
func (l *Ledger) Head() Head { return l.head }

// Append seals the next entry.
func (l *Ledger) Append(rand io.Reader, plaintext []byte) (wire.Entry, error) {
	sealed, err := seal.Seal(rand, l.key, l.label(), l.head.Hash[:], plaintext)
	if err != nil {
		return wire.Entry{}, err
	}
	e := wire.Entry{Index: l.head.Index + 1, Bytes: append([]byte{entryVersion}, sealed...)}
	l.advance(e.Bytes)
	return e, nil
}

// Replay opens the next entry of a log that is read again.
func (l *Ledger) Replay(e wire.Entry) ([]byte, error) {
	if e.Index != l.head.Index+1 || len(e.Bytes) > EntryBytesMax {
		return nil, fmt.Errorf("%w: entry %d where %d belongs", ErrEntry, e.Index, l.head.Index+1)
	}
	if len(e.Bytes) == 0 || e.Bytes[0] != entryVersion {
		return nil, fmt.Errorf("%w: entry %d has an unknown version", ErrEntry, e.Index)
	}
	plaintext, err := seal.Open(l.key, l.label(), l.head.Hash[:], e.Bytes[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d", ErrEntry, e.Index)
	}
	l.advance(e.Bytes)
	return plaintext, nil
}

func (l *Ledger) label() string {
	return fmt.Sprintf("strongroom/v1/log %x %d", l.fleet, l.head.Index+1)
}

func (l *Ledger) advance(entry []byte) {
	h := sha256.New()
	h.Write(l.head.Hash[:])
	h.Write(entry)
	l.head.Index++
	h.Sum(l.head.Hash[:0])
}

// Anchor is what the HSM's durable memory keeps of a head:
// version || fleet || index (64 bit, big endian) || hash.
func Anchor(fleet wire.FleetID, h Head) []byte {
	b := append([]byte{anchorVersion}, fleet[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Index)
	return append(b, h.Hash[:]...)
}

// ParseAnchor undoes Anchor, or gives ErrAnchor.
func ParseAnchor(fleet wire.FleetID, b []byte) (Head, error) {
	if len(b) != anchorBytes || b[0] != anchorVersion || wire.FleetID(b[1:1+wire.FleetIDBytes]) != fleet {
		return Head{}, ErrAnchor
	}
	rest := b[1+wire.FleetIDBytes:]
	return Head{Index: binary.BigEndian.Uint64(rest), Hash: [32]byte(rest[8:])}, nil
}
