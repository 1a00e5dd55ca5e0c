// Package ledger is the sealed log and its checkpoints: the host keeps their
// bytes, the box keeps the head. Each entry is sealed at its place (index, and
// the hash of all before it), so that none can be read, changed, dropped,
// swapped or replayed without the box noticing. A checkpoint stands for all
// entries up to its head.
package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/seal"
)

const (
	entryVersionFirst = 1 // of First light: sealed under the island's log key
	entryVersion      = sealedVersion

	// EntryBytesMax is the largest sealed entry.
	EntryBytesMax = 8 << 10
)

// Errors that stop a box at its start. Each is wrapped with the index.
var (
	ErrEntry    = errors.New("ledger: an entry was changed, or does not follow the one before it")
	ErrRollback = errors.New("ledger: the log is older than the HSM's anchor: entries that were acknowledged are missing")
)

// Head is a place in the log: how many entries there are, and the hash of the
// chain up to there.
type Head struct {
	Index uint64
	Hash  [32]byte
}

// Ledger seals and opens the entries in their order.
type Ledger struct {
	fleet  wire.FleetID
	epochs Epochs
	first  *seal.Key // of entries of First light
	head   Head
}

// Genesis is the head before the first entry.
func Genesis(fleet wire.FleetID) Head {
	return Head{Hash: sha256.Sum256(append([]byte("strongroom/v1/log/genesis"), fleet[:]...))}
}

// New starts at a head. First is the key of entries that First light wrote.
func New(fleet wire.FleetID, at Head, epochs Epochs, first *seal.Key) *Ledger {
	return &Ledger{fleet: fleet, epochs: epochs, first: first, head: at}
}

// Head is where the log ends.
func (l *Ledger) Head() Head { return l.head }

// Enter has the next entries sealed in the newest of the epochs.
func (l *Ledger) Enter(e Epochs) { l.epochs = e }

// Append seals the next entry.
func (l *Ledger) Append(rand io.Reader, plaintext []byte) (wire.Entry, error) {
	sealed, err := l.epochs.Seal(rand, l.label(), l.head.Hash[:], plaintext)
	if err != nil {
		return wire.Entry{}, err
	}
	e := wire.Entry{Index: l.head.Index + 1, Bytes: sealed}
	l.advance(e.Bytes)
	return e, nil
}

// Replay opens the next entry of a log that is read again. Errors: ErrEntry,
// beside it ErrEpoch where that is why.
func (l *Ledger) Replay(e wire.Entry) ([]byte, error) {
	if e.Index != l.head.Index+1 || len(e.Bytes) > EntryBytesMax {
		return nil, fmt.Errorf("%w: entry %d where %d belongs", ErrEntry, e.Index, l.head.Index+1)
	}
	plaintext, err := l.open(e)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrEntry, e.Index, err)
	}
	l.advance(e.Bytes)
	return plaintext, nil
}

func (l *Ledger) open(e wire.Entry) (plaintext []byte, err error) {
	switch {
	case len(e.Bytes) == 0:
		return nil, errors.New("it is empty")
	case e.Bytes[0] == entryVersionFirst:
		return seal.Open(l.first, l.label(), l.head.Hash[:], e.Bytes[1:])
	case e.Bytes[0] == entryVersion:
		plaintext, _, err = l.epochs.Open(l.label(), l.head.Hash[:], e.Bytes)
		return plaintext, err
	}
	return nil, errors.New("it has an unknown version")
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
