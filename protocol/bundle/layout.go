package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
)

const labelLayout = "strongroom/v1/layout"

// ErrLayout: a list of layouts, or a document of one of its islands, that does
// not hold. It is wrapped with the reason.
var ErrLayout = errors.New("bundle: the fleet's layout does not hold")

// Layout says, by the word of the founder's custodians, which islands the
// fleet has from here on (spec/layout.md).
type Layout struct {
	Fleet      wire.FleetID     `cbor:"1,keyasint"`
	Number     uint64           `cbor:"2,keyasint"` // from 1, without a gap
	Before     [32]byte         `cbor:"3,keyasint"` // Homes.Digest of the number before: the founder's pin, of number 1
	Islands    []Pin            `cbor:"4,keyasint"` // in order, each once
	Signatures []OrderSignature `cbor:"5,keyasint"`
}

// Statement is what custodians sign: a label, and all but the signatures.
func (l Layout) Statement() ([]byte, error) {
	l.Signatures = nil
	encoded, err := wire.Encode(l)
	return append([]byte(labelLayout), encoded...), err
}

// Encode gives the layout's bytes.
func (l Layout) Encode() ([]byte, error) { return wire.Encode(l) }

// DecodeLayout undoes Encode, or gives ErrLayout. Nothing is checked yet.
func DecodeLayout(b []byte) (l Layout, err error) {
	if err := wire.Decode(b, &l); err != nil {
		return l, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	return l, nil
}

// Layouts is a fleet's islands and layouts, checked: whoever holds the
// founder's pin can believe all of it.
type Layouts struct {
	Homes
	fleets map[Pin]*Fleet
}

// CheckLayouts checks the islands' documents and all layouts against the
// founder's document, whose pin the caller knows. Error: ErrLayout, ErrDocument.
//
// The attacks that it stops:
//  1. An island of somebody else's: its document names this founder, but no
//     layout signed by the founder's custodians names its pin.
//  2. An island with weaker rules (more guesses, another issuer): it must have
//     the founder's.
//  3. Two layouts of one number, shown to different islands: each names the
//     digest of all before it, and receipts that of their own (wire.Passage).
func CheckLayouts(l wire.Layouts) (*Layouts, error) {
	if err := l.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	founder, err := Decode(l.Founder)
	if err != nil {
		return nil, err
	}
	pin := PinOf(l.Founder)
	known := &Layouts{*NewHomes(founder.ID, pin, founder.Status), map[Pin]*Fleet{pin: founder}}
	if len(l.Layouts) > 0 {
		if err := founder.founds(); err != nil {
			return nil, err
		}
	}
	for _, document := range l.Islands {
		f, err := Decode(document)
		if err != nil {
			return nil, err
		}
		if err := f.joins(founder, pin); err != nil {
			return nil, fmt.Errorf("%w (island %s)", err, PinOf(document))
		}
		known.fleets[PinOf(document)] = f
	}
	for _, b := range l.Layouts {
		if err := known.add(founder, b); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// founds tells whether a fleet may have layouts at all.
func (f *Fleet) founds() error {
	switch {
	case f.Founder != Pin{}:
		return fmt.Errorf("%w: the document of the founder names another founder", ErrLayout)
	case f.Quorum == 0:
		return fmt.Errorf("%w: the founder has no custodians to sign it", ErrLayout)
	case len(f.Status) == 0 || f.Policy.ResetMillis == 0:
		return fmt.Errorf("%w: a fleet without status key or reset delay has one island for ever", ErrLayout)
	}
	return nil
}

// Join makes an island, which has keys, boxes and custodians of its own, one of
// the founder's fleet: with its id, suite, policy, issuers and alert key.
// Error: ErrLayout, ErrDocument.
func (f *Fleet) Join(document []byte) error {
	founder, err := Decode(document)
	if err != nil {
		return err
	}
	if err := founder.founds(); err != nil {
		return err
	}
	if f.KEM != founder.KEM {
		return fmt.Errorf("%w: the founder's channel key is of KEM 0x%04x, this program makes 0x%04x", ErrLayout, founder.KEM, f.KEM)
	}
	f.Founder, f.ID, f.Suite = PinOf(document), founder.ID, founder.Suite
	f.Policy, f.Issuers, f.Alert = founder.Policy, founder.Issuers, founder.Alert
	return nil
}

// joins tells whether an island may be of the founder's fleet.
func (f *Fleet) joins(founder *Fleet, pin Pin) error {
	joined := *f // as it would be with the founder's rules
	joined.ID, joined.Suite, joined.KEM, joined.Policy, joined.Issuers, joined.Alert = founder.ID, founder.Suite, founder.KEM, founder.Policy, founder.Issuers, founder.Alert
	is, err1 := wire.Encode(f)
	should, err2 := wire.Encode(&joined)
	switch {
	case f.Founder != pin:
		return fmt.Errorf("%w: an island that does not name this founder", ErrLayout)
	case err1 != nil || err2 != nil || !bytes.Equal(is, should):
		return fmt.Errorf("%w: an island with another fleet id, suite, policy, issuer or alert key than the founder's", ErrLayout)
	case len(f.Status) == 0:
		return fmt.Errorf("%w: an island without a status key can give no receipts", ErrLayout)
	}
	return nil
}

// add checks the next layout.
func (known *Layouts) add(founder *Fleet, b []byte) error {
	l, err := DecodeLayout(b)
	if err != nil {
		return err
	}
	next := known.Newest() + 1
	switch {
	case l.Fleet != founder.ID:
		return fmt.Errorf("%w: it is of another fleet", ErrLayout)
	case l.Number != next:
		return fmt.Errorf("%w: number %d where %d comes next", ErrLayout, l.Number, next)
	case l.Before != known.Digest(next-1):
		return fmt.Errorf("%w: number %d goes on from another history of the fleet", ErrLayout, l.Number)
	}
	statement, err := l.Statement()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLayout, err)
	}
	if err := founder.checkQuorum(statement, l.Signatures); err != nil {
		return fmt.Errorf("%w: number %d: %w", ErrLayout, l.Number, err)
	}
	if len(l.Islands) == 0 {
		return fmt.Errorf("%w: number %d has no island", ErrLayout, l.Number)
	}
	var set uint16
	for i, pin := range l.Islands {
		if i > 0 && bytes.Compare(l.Islands[i-1][:], pin[:]) >= 0 {
			return fmt.Errorf("%w: number %d: islands out of order, or one twice", ErrLayout, l.Number)
		}
		f := known.fleets[pin]
		if f == nil {
			return fmt.Errorf("%w: number %d: the document of island %s is not there", ErrLayout, l.Number, pin)
		}
		place, err := known.place(pin, f.Status)
		if err != nil {
			return err
		}
		set |= 1 << place
	}
	known.Sets = binary.BigEndian.AppendUint16(known.Sets, set)
	return nil
}

// Founder is the pin of the founder.
func (known *Layouts) Founder() Pin { return known.Islands[0].Pin }

// Island gives an island's document by its pin.
func (known *Layouts) Island(pin Pin) (f *Fleet, found bool) {
	f, found = known.fleets[pin]
	return f, found
}
