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
	Document []byte     `json:"document"` // the fleet's, whole
	Pin      string     `json:"pin"`      // of the document, for people
	Boxes    []OrderBox `json:"boxes"`    // that showed themselves

	// Replacements are the certificates of boxes in the place of lost ones: the
	// order counts the boxes after them.
	Replacements [][]byte `json:"replacements,omitempty"`

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
		if err := o.learn(c); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(o.Boxes, func(a, b OrderBox) int { return bytes.Compare([]byte(a.Box), []byte(b.Box)) })
	o.Pin = bundle.PinOf(o.Document).String()
	fleet, _, _, err := o.check()
	return o, fleet, err
}

// learn takes the certificates that a node knows: one that was down knows fewer.
func (o *Order) learn(c serve.ColdStart) error {
	short, long := o.Replacements, c.Replacements
	if len(short) > len(long) {
		short, long = long, short
	}
	if !slices.EqualFunc(short, long[:len(short)], bytes.Equal) {
		return fmt.Errorf("%w: box %s knows other certificates of boxes in the place of lost ones than the ones before it. Give each node the island.json of the newest box (strongroomd ceremony admit)", bundle.ErrOrder, c.Shown.Box)
	}
	o.Replacements = long
	return nil
}

// ParseOrder reads an order's file and checks everything but the signatures.
// Its error is bundle.ErrOrder.
func ParseOrder(text []byte) (*Order, *bundle.Fleet, error) {
	o := new(Order)
	if err := decode(text, o); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
	}
	fleet, _, _, err := o.check()
	return o, fleet, err
}

// check gives the order as boxes take it, without signatures, and the island's
// boxes.
func (o *Order) check() (fleet *bundle.Fleet, boxes []bundle.Box, order bundle.Order, err error) {
	if fleet, err = bundle.Decode(o.Document); err != nil {
		return nil, nil, order, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
	}
	if pin := bundle.PinOf(o.Document).String(); pin != o.Pin {
		return nil, nil, order, fmt.Errorf("%w: its document has the pin %s", bundle.ErrOrder, pin)
	}
	if boxes, err = fleet.BoxesAfterEncoded(o.Replacements); err != nil {
		return nil, nil, order, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
	}
	order.Fleet = fleet.ID
	for _, b := range o.Boxes {
		shown, err := b.Wire()
		if err != nil {
			return nil, nil, order, fmt.Errorf("%w: %w", bundle.ErrOrder, err)
		}
		if !slices.ContainsFunc(boxes, func(b bundle.Box) bool { return b.ID() == shown.Box }) {
			return nil, nil, order, fmt.Errorf("%w: box %s is not of this fleet, or another one took its place. Leave it out", bundle.ErrOrder, shown.Box)
		}
		if slices.ContainsFunc(order.Shown, func(other wire.Shown) bool { return other.Box == shown.Box }) {
			return nil, nil, order, fmt.Errorf("%w: box %s is named twice", bundle.ErrOrder, shown.Box)
		}
		order.Shown = append(order.Shown, shown)
	}
	if 2*len(order.Shown) <= len(fleet.Boxes) {
		return nil, nil, order, fmt.Errorf("%w: %d of %d boxes showed themselves, no majority. Start more of them first", bundle.ErrOrder, len(order.Shown), len(fleet.Boxes))
	}
	return fleet, boxes, order, nil
}

// First names the box whose log wins.
func (o *Order) First() (wire.BoxID, error) {
	_, _, order, err := o.check()
	return order.First().Box, err
}

// Sign adds a custodian's signature.
func (o *Order) Sign(c *Custodian) error {
	fleet, _, order, err := o.check()
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
	fleet, boxes, order, err := o.check()
	if err != nil {
		return nil, err
	}
	if order.Signatures, err = signaturesOf(o.Signatures); err != nil {
		return nil, err
	}
	if err := fleet.CheckOrder(boxes, order); err != nil {
		return nil, err
	}
	return order.Encode()
}

// Encode gives the file.
func (o *Order) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(o, "", "  ")
	return append(text, '\n'), err
}
