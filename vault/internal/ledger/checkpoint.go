package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/seal"
	"strongroom/vault/internal/tree"
)

const checkpointVersion = 1

// Errors that stop a box at its start.
var (
	ErrCheckpoint = errors.New("ledger: the checkpoint was changed, or belongs to another fleet")
	ErrShredded   = errors.New("ledger: the checkpoint is of an epoch whose key was destroyed: this disk is older than that")
)

// Checkpoint stands for all entries up to its head: the record tree as they
// left it. Serial counts the checkpoints of an island.
type Checkpoint struct {
	Serial      uint64
	Head        Head
	Root        tree.Root
	EpochMillis uint64 // when the newest epoch began, by the box's clock
	Group       []byte // what several boxes agreed on beside records, and what this one must not forget; nil for one box
	Homes       []byte // of one box, the fleet's layouts as it knows them; nil for none
	Due         []Due  // at most as many as a checkpoint may hold: a walk over all records finds the rest
}

// Due names a record to which something happens by itself after a time.
type Due struct {
	Path   tree.Path
	Millis uint64
}

const dueBytes = tree.PathBytes + 8

// envelope is what the host keeps: which epochs there are, sealed by the HSM,
// and the checkpoint itself, sealed in the newest of them.
type envelope struct {
	Version uint8   `cbor:"1,keyasint"`
	Epochs  []Epoch `cbor:"2,keyasint"` // oldest first
}

type checkpointBody struct {
	Serial      uint64   `cbor:"1,keyasint"`
	Index       uint64   `cbor:"2,keyasint"`
	Hash        [32]byte `cbor:"3,keyasint"`
	Root        [32]byte `cbor:"4,keyasint"`
	Leaves      uint64   `cbor:"5,keyasint"`
	EpochMillis uint64   `cbor:"6,keyasint"`
	Group       []byte   `cbor:"7,keyasint,omitempty"`
	Homes       []byte   `cbor:"8,keyasint,omitempty"`
}

// Seal gives length (16 bit, big endian) || envelope || sealed, where the
// plaintext is the body's length (16 bit), the body and the due ones.
func (c Checkpoint) Seal(rand io.Reader, fleet wire.FleetID, e Epochs) ([]byte, error) {
	head, err := wire.Encode(envelope{checkpointVersion, e.List()})
	if err != nil {
		return nil, err
	}
	body, err := wire.Encode(checkpointBody{
		c.Serial, c.Head.Index, c.Head.Hash, c.Root.Hash, c.Root.Leaves, c.EpochMillis, c.Group, c.Homes,
	})
	if err != nil {
		return nil, err
	}
	plaintext := append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
	for _, d := range c.Due {
		plaintext = binary.BigEndian.AppendUint64(append(plaintext, d.Path[:]...), d.Millis)
	}
	sealed, err := e.Seal(rand, checkpointLabel(fleet), head, plaintext)
	if err != nil {
		return nil, err
	}
	b := append(binary.BigEndian.AppendUint16(nil, uint16(len(head))), head...)
	return append(b, sealed...), nil
}

// ListEpochs are the epochs of a sealed checkpoint, for their secrets to be
// opened. It is the host's word until OpenCheckpoint has checked it.
func ListEpochs(b []byte) ([]Epoch, error) {
	head, _, err := Cut(b)
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := wire.Decode(head, &e); err != nil || e.Version != checkpointVersion || len(e.Epochs) == 0 {
		return nil, fmt.Errorf("%w: unknown version", ErrCheckpoint)
	}
	return e.Epochs, nil
}

// OpenCheckpoint undoes Seal, with the epochs that ListEpochs named. Errors:
// ErrCheckpoint, ErrShredded.
func OpenCheckpoint(fleet wire.FleetID, e Epochs, b []byte) (Checkpoint, error) {
	head, sealed, err := Cut(b)
	if err != nil {
		return Checkpoint{}, err
	}
	plaintext, _, err := e.Open(checkpointLabel(fleet), head, sealed)
	if errors.Is(err, ErrEpoch) {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrShredded, err)
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return parseCheckpoint(plaintext)
}

func parseCheckpoint(plaintext []byte) (Checkpoint, error) {
	encoded, due, err := Cut(plaintext)
	var body checkpointBody
	if err != nil || wire.Decode(encoded, &body) != nil || len(due)%dueBytes != 0 {
		return Checkpoint{}, fmt.Errorf("%w: another version of the program wrote it", ErrCheckpoint)
	}
	c := Checkpoint{
		Serial: body.Serial, Head: Head{body.Index, body.Hash}, Root: tree.Root{Hash: body.Root, Leaves: body.Leaves},
		EpochMillis: body.EpochMillis, Group: body.Group, Homes: body.Homes,
	}
	for ; len(due) > 0; due = due[dueBytes:] {
		c.Due = append(c.Due, Due{tree.Path(due), binary.BigEndian.Uint64(due[tree.PathBytes:])})
	}
	return c, nil
}

// Cut splits length (16 bit) || that many bytes || rest.
func Cut(b []byte) (first, rest []byte, err error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, fmt.Errorf("%w: it is cut short", ErrCheckpoint)
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], nil
}

func checkpointLabel(fleet wire.FleetID) string {
	return fmt.Sprintf("strongroom/v1/checkpoint %x", fleet)
}

// OpenSecret makes the secret of an epoch from what the HSM opened.
func OpenSecret(b []byte) (*seal.Key, error) {
	if len(b) != len(seal.Key{}) {
		return nil, ErrCheckpoint
	}
	k := seal.Key(b)
	clear(b)
	return &k, nil
}
