package ceremony

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// Order is the file that custodians sign for a cold start: of a new island, or
// of one whose majority was down.
type Order struct {
	Document   []byte               `json:"document"` // the fleet's, whole
	Pin        string               `json:"pin"`      // of the document, for people
	Boxes      []OrderBox           `json:"boxes"`    // that showed themselves
	Signatures []CustodianSignature `json:"custodian_signatures"`
}

// OrderBox is one box, as it showed itself.
type OrderBox struct {
	Name string `json:"name,omitempty"` // its node's word
	serve.ShownBox
}

// NewOrder puts together what the admin addresses showed. Its error is
// bundle.ErrOrder.
func NewOrder(shown []serve.ColdStart) (*Order, *bundle.Fleet, error) {
	o := &Order{Signatures: []CustodianSignature{}}
	for _, c := range shown {
		if o.Document != nil && !bytes.Equal(o.Document, c.Document) {
			return nil, nil, fmt.Errorf("%w: box %s is of another fleet than the ones before it", bundle.ErrOrder, c.Shown.Box)
		}
		o.Document = c.Document
		o.Boxes = append(o.Boxes, OrderBox{c.Name, c.Shown})
	}
	slices.SortFunc(o.Boxes, func(a, b OrderBox) int { return bytes.Compare([]byte(a.Box), []byte(b.Box)) })
	o.Pin = bundle.PinOf(o.Document).String()
	fleet, _, err := o.check()
	return o, fleet, err
}

// ParseOrder reads an order's file and checks everything but the signatures.
// Its error is bundle.ErrOrder.
func ParseOrder(text []byte) (*Order, *bundle.Fleet, error) {
	o := new(Order)
	if err := decode(text, o); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
	}
	fleet, _, err := o.check()
	return o, fleet, err
}

// check gives the order as boxes take it, without signatures.
func (o *Order) check() (fleet *bundle.Fleet, order bundle.Order, err error) {
	if fleet, err = bundle.Decode(o.Document); err != nil {
		return nil, order, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
	}
	if pin := bundle.PinOf(o.Document).String(); pin != o.Pin {
		return nil, order, fmt.Errorf("%w: its document has the pin %s", bundle.ErrOrder, pin)
	}
	order.Fleet = fleet.ID
	for _, b := range o.Boxes {
		shown, err := b.Wire()
		if err != nil {
			return nil, order, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
		}
		if _, found := fleet.Box(shown.Box); !found {
			return nil, order, fmt.Errorf("%w: box %s is not of this fleet", bundle.ErrOrder, shown.Box)
		}
		if slices.ContainsFunc(order.Shown, func(other wire.Shown) bool { return other.Box == shown.Box }) {
			return nil, order, fmt.Errorf("%w: box %s is named twice", bundle.ErrOrder, shown.Box)
		}
		order.Shown = append(order.Shown, shown)
	}
	if 2*len(order.Shown) <= len(fleet.Boxes) {
		return nil, order, fmt.Errorf("%w: %d of %d boxes showed themselves, no majority. Start more of them first", bundle.ErrOrder, len(order.Shown), len(fleet.Boxes))
	}
	return fleet, order, nil
}

// First names the box whose log wins.
func (o *Order) First() (wire.BoxID, error) {
	_, order, err := o.check()
	return order.First().Box, err
}

// Sign adds a custodian's signature.
func (o *Order) Sign(c *Custodian) error {
	fleet, order, err := o.check()
	if err != nil {
		return err
	}
	statement, err := order.Statement()
	if err != nil {
		return err
	}
	o.Signatures, err = c.sign(fleet, statement, o.Signatures)
	return err
}

// Signed gives the bytes that boxes take, if enough custodians signed:
// bundle.ErrOrder.
func (o *Order) Signed() ([]byte, error) {
	fleet, order, err := o.check()
	if err != nil {
		return nil, err
	}
	if order.Signatures, err = signaturesOf(o.Signatures); err != nil {
		return nil, err
	}
	if err := fleet.CheckOrder(fleet.Boxes, order); err != nil {
		return nil, err
	}
	return order.Encode()
}

// Encode gives the file.
func (o *Order) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(o, "", "  ")
	return append(text, '\n'), err
}
