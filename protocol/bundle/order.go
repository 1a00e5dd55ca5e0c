package bundle

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

// ErrOrder: an order for a cold start that does not hold. It is wrapped with
// the reason.
var ErrOrder = errors.New("bundle: the custodians' order does not hold")

// Order is the custodians' word that an island starts again from what these
// boxes showed: the first start of all, or one after a majority was down. It
// opens nothing later: every start of a box draws another boot.
type Order struct {
	Fleet      wire.FleetID     `cbor:"1,keyasint"`
	Shown      []wire.Shown     `cbor:"2,keyasint"`
	Signatures []OrderSignature `cbor:"3,keyasint"`
}

// OrderSignature is one custodian's.
type OrderSignature struct {
	Custodian uint8  `cbor:"1,keyasint"` // place in Fleet.Custodians, from 0
	Signature []byte `cbor:"2,keyasint"` // Ed25519 over Statement
}

// Statement is what custodians sign: a label, and fleet and boxes in the one encoding.
func (o Order) Statement() ([]byte, error) {
	o.Signatures = nil
	encoded, err := wire.Encode(o)
	return append([]byte("strongroom/v1/order"), encoded...), err
}

// ID names the run of the island that the order begins.
func (o Order) ID() (id wire.GroupID, err error) {
	statement, err := o.Statement()
	hash := sha256.Sum256(statement)
	copy(id[:], hash[:])
	return id, err
}

// Encode gives the order's bytes.
func (o Order) Encode() ([]byte, error) { return wire.Encode(o) }

// DecodeOrder undoes Encode, or gives ErrOrder. Nothing is checked yet.
func DecodeOrder(b []byte) (o Order, err error) {
	if err := wire.Decode(b, &o); err != nil {
		return o, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return o, nil
}

// CheckOrder tells whether enough custodians of the fleet signed an order that
// names a majority of the island's boxes (Boxes, or BoxesAfter), each once.
// Error: ErrOrder.
//
// The attack that the majority stops: an order that names fewer could begin a
// second island beside one that runs.
func (f *Fleet) CheckOrder(island []Box, o Order) error {
	if o.Fleet != f.ID {
		return fmt.Errorf("%w: it is for another fleet", ErrOrder)
	}
	boxes := map[wire.BoxID]bool{}
	for _, b := range island {
		boxes[b.ID()] = true
	}
	for _, s := range o.Shown {
		if !boxes[s.Box] {
			return fmt.Errorf("%w: box %s is not of this fleet, or named twice", ErrOrder, s.Box)
		}
		if s.Boot == (wire.Boot{}) {
			return fmt.Errorf("%w: box %s takes part in the island that was, and shows nothing. Start it anew first", ErrOrder, s.Box)
		}
		delete(boxes, s.Box)
	}
	if len(o.Shown) <= len(island)/2 {
		return fmt.Errorf("%w: it names %d of %d boxes, no majority", ErrOrder, len(o.Shown), len(island))
	}
	statement, err := o.Statement()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrder, err)
	}
	if err := f.checkQuorum(statement, o.Signatures); err != nil {
		return fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return nil
}

// First names the box of an order that starts: the one with the newest log,
// and of equals the one of the lowest id. The others join it.
func (o Order) First() (first wire.Shown) {
	for i, s := range o.Shown {
		newer := s.Term > first.Term || s.Term == first.Term && s.Last > first.Last
		equal := s.Term == first.Term && s.Last == first.Last
		if i == 0 || newer || equal && string(s.Box[:]) < string(first.Box[:]) {
			first = s
		}
	}
	return first
}
