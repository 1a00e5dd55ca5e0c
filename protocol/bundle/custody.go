package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

// What custodians sign besides an order (order.go). Each statement begins with
// a label of its own, so that a signature for one thing is never one for
// another, and names the fleet.
const (
	labelTranscript  = "strongroom/v1/transcript"
	labelReplacement = "strongroom/v1/replacement"
)

// ErrReplacement: a certificate for a box that does not hold. It is wrapped
// with the reason.
var ErrReplacement = errors.New("bundle: the custodians' certificate for a box does not hold")

// ErrQuorum: enough custodians did not sign, or somebody's signature is wrong.
var ErrQuorum = errors.New("bundle: not signed by enough of this fleet's custodians")

// Replacement puts a box that the document does not name in the place of one
// that is lost. Old never takes part again; it may itself have come by a
// replacement.
type Replacement struct {
	Fleet      wire.FleetID     `cbor:"1,keyasint"`
	Old        wire.BoxID       `cbor:"2,keyasint"`
	New        Box              `cbor:"3,keyasint"`
	Signatures []OrderSignature `cbor:"4,keyasint"`
}

// Statement is what custodians sign: a label, and all but the signatures.
func (r Replacement) Statement() ([]byte, error) {
	r.Signatures = nil
	encoded, err := wire.Encode(r)
	return append([]byte(labelReplacement), encoded...), err
}

// Encode gives the certificate's bytes.
func (r Replacement) Encode() ([]byte, error) { return wire.Encode(r) }

// DecodeReplacement undoes Encode, of bytes in that one form, or gives
// ErrReplacement. Nothing is checked yet.
func DecodeReplacement(b []byte) (r Replacement, err error) {
	if err := wire.Decode(b, &r); err != nil {
		return r, fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	if again, err := wire.Encode(r); err != nil || !bytes.Equal(again, b) {
		return r, fmt.Errorf("%w: it is not in its one form", ErrReplacement)
	}
	return r, nil
}

// BoxesAfter gives the boxes of the island after these certificates, in the
// order in which the island agreed on them. Error: ErrReplacement.
//
// The attack that the order and the names stop: an old certificate shown again,
// or a second one for the same place, would let a box in that the custodians
// had taken out. Each name comes once and goes once.
func (f *Fleet) BoxesAfter(certificates []Replacement) ([]Box, error) {
	boxes, known := slices.Clone(f.Boxes), map[wire.BoxID]bool{}
	for _, b := range boxes {
		known[b.ID()] = true
	}
	for _, r := range certificates {
		if err := f.checkReplacement(r); err != nil {
			return nil, err
		}
		if known[r.New.ID()] {
			return nil, fmt.Errorf("%w: box %s was of the island before", ErrReplacement, r.New.ID())
		}
		place := slices.IndexFunc(boxes, func(b Box) bool { return b.ID() == r.Old })
		if place < 0 {
			return nil, fmt.Errorf("%w: box %s is not of the island, or was replaced before", ErrReplacement, r.Old)
		}
		boxes[place], known[r.New.ID()] = r.New, true
	}
	return boxes, nil
}

// BoxesAfterEncoded is BoxesAfter of certificates as bytes.
func (f *Fleet) BoxesAfterEncoded(certificates [][]byte) ([]Box, error) {
	var list []Replacement
	for _, b := range certificates {
		r, err := DecodeReplacement(b)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return f.BoxesAfter(list)
}

func (f *Fleet) checkReplacement(r Replacement) error {
	if r.Fleet != f.ID {
		return fmt.Errorf("%w: it is for another fleet", ErrReplacement)
	}
	if len(r.New.Key) != wire.BoxKeyBytes || len(r.New.HSM) > nameBytesMax || len(r.New.Rollback) > nameBytesMax {
		return fmt.Errorf("%w: the new box %s", ErrReplacement, r.New.ID())
	}
	statement, err := r.Statement()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	if err := f.checkQuorum(statement, r.Signatures); err != nil {
		return fmt.Errorf("%w: %w", ErrReplacement, err)
	}
	return nil
}

// TranscriptStatement is what boxes and custodians sign of a ceremony: the
// SHA-256 of its transcript's body.
func TranscriptStatement(fleet wire.FleetID, body [sha256.Size]byte) []byte {
	return append(append([]byte(labelTranscript), fleet[:]...), body[:]...)
}

// CheckTranscript tells whether enough custodians signed. Error: ErrQuorum.
func (f *Fleet) CheckTranscript(body [sha256.Size]byte, signatures []OrderSignature) error {
	return f.checkQuorum(TranscriptStatement(f.ID, body), signatures)
}

// checkQuorum wants each custodian once, in their order, and takes no wrong
// signature beside enough right ones: whoever put it there changed what
// somebody else had signed.
func (f *Fleet) checkQuorum(statement []byte, signatures []OrderSignature) error {
	for i, s := range signatures {
		if i > 0 && signatures[i-1].Custodian >= s.Custodian {
			return fmt.Errorf("%w: signatures out of order, or one twice", ErrQuorum)
		}
		if int(s.Custodian) >= len(f.Custodians) || !ed25519.Verify(f.Custodians[s.Custodian], statement, s.Signature) {
			return fmt.Errorf("%w: the signature of custodian %d", ErrQuorum, s.Custodian+1)
		}
	}
	// A fleet without custodians obeys nobody: none of none is no quorum.
	if n := len(signatures); f.Quorum == 0 || n < int(f.Quorum) {
		return fmt.Errorf("%w: %d custodians signed, %d must", ErrQuorum, n, f.Quorum)
	}
	return nil
}

// Signed tells whether the box's identity signed a statement.
func (b Box) Signed(statement, signature []byte) bool {
	return SignedBy(b.Key, sha256.Sum256(statement), signature)
}
