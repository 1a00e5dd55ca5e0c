package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"strongroom/protocol/wire"
)

// What custodians sign is named first, so that a signature for one thing is
// never one for another, and bound to the fleet.
const (
	contextTranscript  = "strongroom/v1/transcript"
	contextColdStart   = "strongroom/v1/cold-start"
	contextReplacement = "strongroom/v1/replacement"
)

// OrderBytesMax bounds an order's bytes.
const OrderBytesMax = 8 << 10

// Errors of orders.
var (
	ErrOrder  = errors.New("bundle: not an order of custodians that this program knows")
	ErrQuorum = errors.New("bundle: the order is not signed by enough of this fleet's custodians")
)

// Statement is what custodians order: exactly one of its last three.
type Statement struct {
	Context     string       `cbor:"1,keyasint"`
	Fleet       wire.FleetID `cbor:"2,keyasint"`
	Transcript  []byte       `cbor:"3,keyasint,omitempty"` // SHA-256 of a ceremony's: that it happened so
	ColdStart   *ColdStart   `cbor:"4,keyasint,omitempty"`
	Replacement *Replacement `cbor:"5,keyasint,omitempty"`
}

// ColdStart lets an island go on that has no majority: with the boxes that show
// themselves, on the log of the newest of them. Every boot is fresh at every
// start of a box, so an order opens nothing twice.
type ColdStart struct {
	Boxes []Shown `cbor:"1,keyasint"` // in the order of Box, each once
}

// Shown is what a box shows of itself when it waits for a cold start.
type Shown struct {
	Box   wire.BoxID        `cbor:"1,keyasint"`
	Boot  [BootBytes]byte   `cbor:"2,keyasint"` // random, of this start
	Index uint64            `cbor:"3,keyasint"` // of its journal's last entry
	Head  [sha256.Size]byte `cbor:"4,keyasint"` // of its journal
	Term  uint64            `cbor:"5,keyasint"` // the newest that it knows
	Last  RaftEntry         `cbor:"6,keyasint"` // of its Raft log
}

// BootBytes is the length of a boot's nonce.
const BootBytes = 16

// RaftEntry names an entry of Raft's log.
type RaftEntry struct {
	Term  uint64 `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"`
}

// Newest is the box whose log wins: the one with the last entry of the highest
// term, and of those the longest (Raft dissertation, §3.6.1). Of equal ones
// the first.
func (c *ColdStart) Newest() Shown {
	newest := c.Boxes[0]
	for _, b := range c.Boxes[1:] {
		if b.Last.Term > newest.Last.Term || b.Last.Term == newest.Last.Term && b.Last.Index > newest.Last.Index {
			newest = b
		}
	}
	return newest
}

// Replacement puts a box that no document names in the place of one that is
// lost. Old never takes part again; it may itself have come by a replacement.
type Replacement struct {
	Old wire.BoxID `cbor:"1,keyasint"`
	New Box        `cbor:"2,keyasint"`
}

// Order is a statement and who signed it.
type Order struct {
	Statement  []byte      `cbor:"1,keyasint"` // Statement.Encode
	Signatures []Signature `cbor:"2,keyasint"` // in the order of Custodian, each once
}

// Signature is one custodian's, Ed25519 (RFC 8032 §5.1.6) over the statement.
type Signature struct {
	Custodian uint8  `cbor:"1,keyasint"` // his place in Fleet.Custodians, from 0
	Bytes     []byte `cbor:"2,keyasint"`
}

// Encode gives the bytes that are signed, or ErrOrder. It fills Context.
func (s *Statement) Encode() ([]byte, error) {
	switch {
	case s.Transcript != nil:
		s.Context = contextTranscript
	case s.ColdStart != nil:
		s.Context = contextColdStart
	default:
		s.Context = contextReplacement
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return wire.Encode(s)
}

// DecodeStatement reads what Encode gives, in that one form, or gives ErrOrder.
func DecodeStatement(b []byte) (*Statement, error) {
	s := new(Statement)
	if err := wire.Decode(b, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	if again, err := wire.Encode(s); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: not in its one form", ErrOrder)
	}
	return s, nil
}

func (s *Statement) validate() error {
	transcript, start, replace := s.Transcript != nil, s.ColdStart != nil, s.Replacement != nil
	switch {
	case s.Context == contextTranscript && transcript && !start && !replace:
		if len(s.Transcript) != sha256.Size {
			return fmt.Errorf("%w: a hash of %d bytes", ErrOrder, len(s.Transcript))
		}
		return nil
	case s.Context == contextColdStart && start && !transcript && !replace:
		return s.ColdStart.validate()
	case s.Context == contextReplacement && replace && !transcript && !start:
		return s.Replacement.validate()
	}
	return fmt.Errorf("%w: %q", ErrOrder, s.Context)
}

func (c *ColdStart) validate() error {
	if len(c.Boxes) < 1 || len(c.Boxes) > wire.BoxesMax {
		return fmt.Errorf("%w: a start of %d boxes", ErrOrder, len(c.Boxes))
	}
	for i, b := range c.Boxes {
		if i > 0 && bytes.Compare(c.Boxes[i-1].Box[:], b.Box[:]) >= 0 {
			return fmt.Errorf("%w: boxes out of order, or one twice", ErrOrder)
		}
		if b.Box == (wire.BoxID{}) || b.Boot == ([BootBytes]byte{}) {
			return fmt.Errorf("%w: box %s without a name or a boot", ErrOrder, b.Box)
		}
	}
	return nil
}

func (r *Replacement) validate() error {
	if len(r.New.Key) != wire.BoxKeyBytes || r.Old == (wire.BoxID{}) || r.Old == r.New.ID() ||
		len(r.New.HSM) > nameBytesMax || len(r.New.Rollback) > nameBytesMax {
		return fmt.Errorf("%w: box %s in the place of %s", ErrOrder, r.New.ID(), r.Old)
	}
	return nil
}

// CheckOrder gives the statement of an order that at least Quorum of the
// fleet's custodians signed. ErrOrder: it is none, or another fleet's.
// ErrQuorum: signatures are missing, or one is wrong. Whether its boxes are
// the island's and its boots are fresh, the box that obeys it looks.
func (f *Fleet) CheckOrder(order []byte) (*Statement, error) {
	if len(order) > OrderBytesMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrOrder, len(order))
	}
	var o Order
	if err := wire.Decode(order, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	s, err := DecodeStatement(o.Statement)
	if err != nil {
		return nil, err
	}
	if s.Fleet != f.ID {
		return nil, fmt.Errorf("%w: it is of the fleet %x", ErrOrder, s.Fleet)
	}
	return s, f.checkSignatures(o)
}

// checkSignatures takes no wrong signature beside enough right ones: whoever
// put it there changed what somebody else had signed.
func (f *Fleet) checkSignatures(o Order) error {
	for i, s := range o.Signatures {
		if i > 0 && o.Signatures[i-1].Custodian >= s.Custodian {
			return fmt.Errorf("%w: signatures out of order, or one twice", ErrQuorum)
		}
		if int(s.Custodian) >= len(f.Custodians) || !ed25519.Verify(f.Custodians[s.Custodian], o.Statement, s.Bytes) {
			return fmt.Errorf("%w: the signature of custodian %d is not his", ErrQuorum, s.Custodian+1)
		}
	}
	// A fleet without custodians obeys nobody: a quorum of none is no quorum.
	if n := len(o.Signatures); f.Quorum == 0 || n < int(f.Quorum) {
		return fmt.Errorf("%w: %d signed, %d of %d must", ErrQuorum, n, f.Quorum, len(f.Custodians))
	}
	return nil
}

// Signed says whether this box's identity key signed a statement: ECDSA with
// SHA-256 (FIPS 186-5 §6.4.2), r || s.
func (b Box) Signed(statement, signature []byte) bool {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b.Key)
	if x == nil || len(signature) != wire.SignatureBytes {
		return false
	}
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	digest := sha256.Sum256(statement)
	return ecdsa.Verify(&ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, digest[:], r, s)
}
