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

// Layout is the file that the founder's custodians sign for the fleet's next
// layout (spec/layout.md). It brings everything that a box wants to see.
type Layout struct {
	Founder    []byte               `json:"founder"`           // its document
	Islands    [][]byte             `json:"islands,omitempty"` // the others' documents
	Layouts    [][]byte             `json:"layouts,omitempty"` // those before, signed
	Number     uint64               `json:"number"`            // of the next
	Next       []string             `json:"next"`              // the pins of its islands
	Signatures []CustodianSignature `json:"custodian_signatures"`
}

// NewLayout puts the next layout together: the islands of the newest, with the
// documents to add and without the islands (by name) to leave out. Its error is
// bundle.ErrLayout.
func NewLayout(known *serve.Layouts, add [][]byte, leaveOut []string) (*Layout, error) {
	shown := *known.Shown
	pins := known.Pins(known.Newest())
	for _, document := range add {
		pin := bundle.PinOf(document)
		if slices.Contains(pins, pin) {
			return nil, fmt.Errorf("%w: island %s is in the newest layout already", bundle.ErrLayout, pin.IslandName())
		}
		shown, pins = serve.Join(shown, document), append(pins, pin)
	}
	for _, name := range leaveOut {
		at := slices.IndexFunc(pins, func(p bundle.Pin) bool { return p.IslandName() == name || p.String() == name })
		if at < 0 {
			return nil, fmt.Errorf("%w: no island %q is in the newest layout, so it can not be left out", bundle.ErrLayout, name)
		}
		pins = slices.Delete(pins, at, at+1)
	}
	slices.SortFunc(pins, func(a, b bundle.Pin) int { return bytes.Compare(a[:], b[:]) })
	l := &Layout{
		Founder: shown.Founder, Islands: shown.Islands, Layouts: shown.Layouts, Number: known.Newest() + 1,
		Signatures: []CustodianSignature{},
	}
	for _, pin := range pins {
		l.Next = append(l.Next, pin.String())
	}
	_, _, err := l.check()
	return l, err
}

// ParseLayout reads a layout's file and checks everything but the signatures.
// Its error is bundle.ErrLayout.
func ParseLayout(text []byte) (*Layout, *bundle.Fleet, error) {
	l := new(Layout)
	if err := decode(text, l); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", bundle.ErrLayout, err)
	}
	known, _, err := l.check()
	if err != nil {
		return nil, nil, err
	}
	founder, _ := known.Island(known.Founder())
	return l, founder, nil
}

// Known are the documents, and the layouts before this one. Its error is
// bundle.ErrLayout.
func (l *Layout) Known() (*serve.Layouts, error) {
	known, _, err := l.check()
	return known, err
}

// check gives what was before, and the next layout as boxes take it, without
// signatures.
func (l *Layout) check() (*serve.Layouts, bundle.Layout, error) {
	var next bundle.Layout
	known, err := serve.CheckLayouts(bundle.PinOf(l.Founder), &wire.Layouts{Founder: l.Founder, Islands: l.Islands, Layouts: l.Layouts})
	if err != nil {
		return nil, next, fmt.Errorf("%w: %w", bundle.ErrLayout, err)
	}
	if founder, _ := known.Island(known.Founder()); founder.Quorum == 0 {
		return nil, next, fmt.Errorf("%w: the founder has no custodians to sign it. Only an island that a ceremony made can have others beside it", bundle.ErrLayout)
	}
	newest := known.Newest()
	switch {
	case newest == wire.LayoutsMax:
		return nil, next, fmt.Errorf("%w: the fleet has had all its %d layouts", bundle.ErrLayout, wire.LayoutsMax)
	case l.Number != newest+1:
		return nil, next, fmt.Errorf("%w: it says number %d, and %d comes next", bundle.ErrLayout, l.Number, newest+1)
	case len(l.Next) == 0:
		return nil, next, fmt.Errorf("%w: no island would be left", bundle.ErrLayout)
	}
	next = bundle.Layout{Fleet: known.Fleet, Number: l.Number, Before: known.Digest(newest)}
	for i, text := range l.Next {
		pin, err := bundle.ParsePin(text)
		if err != nil {
			return nil, next, fmt.Errorf("%w: island %d: %w", bundle.ErrLayout, i+1, err)
		}
		if _, found := known.Island(pin); !found {
			return nil, next, fmt.Errorf("%w: the document of island %s is not there", bundle.ErrLayout, pin.IslandName())
		}
		if i > 0 && bytes.Compare(next.Islands[i-1][:], pin[:]) >= 0 {
			return nil, next, fmt.Errorf("%w: islands out of order, or one twice", bundle.ErrLayout)
		}
		next.Islands = append(next.Islands, pin)
	}
	if slices.Equal(next.Islands, known.Pins(newest)) {
		return nil, next, fmt.Errorf("%w: it has the same islands as number %d. Say which to add or leave out", bundle.ErrLayout, newest)
	}
	return known, next, nil
}

// Sign adds a custodian's signature.
func (l *Layout) Sign(c *Custodian) error {
	known, next, err := l.check()
	if err != nil {
		return err
	}
	statement, err := next.Statement()
	if err != nil {
		return err
	}
	founder, _ := known.Island(known.Founder())
	l.Signatures, err = c.sign(founder, statement, l.Signatures)
	return err
}

// Signed gives all that boxes and clients are shown, with the next layout in
// it, if enough custodians signed: bundle.ErrLayout.
func (l *Layout) Signed() (*wire.Layouts, error) {
	known, next, err := l.check()
	if err != nil {
		return nil, err
	}
	if next.Signatures, err = signaturesOf(l.Signatures); err != nil {
		return nil, err
	}
	b, err := next.Encode()
	if err != nil {
		return nil, err
	}
	shown := *known.Shown
	shown.Layouts = append(slices.Clone(shown.Layouts), b)
	_, err = bundle.CheckLayouts(shown)
	return &shown, err
}

// Encode gives the file.
func (l *Layout) Encode() ([]byte, error) {
	text, err := json.MarshalIndent(l, "", "  ")
	return append(text, '\n'), err
}
