package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// evidenceKind is the first thing that an evidence file says.
const evidenceKind = "strongroom signed status 1"

// EvidenceBytesMax is the size of the largest evidence.
const EvidenceBytesMax = 1 << 20

// Errors of evidence.
var (
	// ErrUnsigned: the fleet was made without a key that signs statuses.
	ErrUnsigned = errors.New("this vault does not sign statuses")
	// ErrEvidence: the text is no evidence, or was changed.
	ErrEvidence = errors.New("this is no signed status of the pinned vault, or it was changed")
)

// Evidence is a status that can be shown to others: whoever has the fleet's
// pin can check it without the vault. It tells of one account and holds no
// secret.
type Evidence struct {
	Kind      string `json:"kind"`
	Document  []byte `json:"fleet"`             // of the island that signed; it has the pin, where there are no layouts
	Layouts   []byte `json:"layouts,omitempty"` // wire.Layouts: what makes it an island of the pin's fleet
	Statement []byte `json:"statement"`         // wire.StatusStatement, as it was signed
	Signature []byte `json:"signature"`         // by the island's status key
}

// SignedStatus asks for the account's status with the vault's signature, and
// checks that. Errors: ErrUnsigned, and those of Status.
func (v *Vault) SignedStatus(ctx context.Context) (Evidence, wire.StatusReport, error) {
	if err := v.checkAccount(); err != nil {
		return Evidence{}, wire.StatusReport{}, err
	}
	at, err := v.watched(ctx)
	if err != nil {
		return Evidence{}, wire.StatusReport{}, err
	}
	if len(at.Status) == 0 {
		return Evidence{}, wire.StatusReport{}, ErrUnsigned
	}
	answer, err := v.askFree(ctx, at, wire.First{Status: &wire.StatusRequest{Sign: true}})
	if err != nil {
		return Evidence{}, wire.StatusReport{}, err
	}
	if answer.Status == nil || answer.Attestation == nil {
		return Evidence{}, wire.StatusReport{}, ErrAnswer
	}
	e := Evidence{Kind: evidenceKind, Signature: answer.Attestation.Signature}
	if e.Document, err = at.Encode(); err != nil {
		return Evidence{}, wire.StatusReport{}, err
	}
	if at.pin != v.Pin {
		e.Layouts = v.shown
	}
	if e.Statement, err = answer.Status.Statement(at.ID, v.Account, answer.Attestation.AtMillis); err != nil {
		return Evidence{}, wire.StatusReport{}, err
	}
	if !bundle.SignedBy(at.Status, sha256.Sum256(e.Statement), e.Signature) {
		return Evidence{}, wire.StatusReport{}, fmt.Errorf("%w: the signature under the status is wrong", ErrAnswer)
	}
	return e, *answer.Status, nil
}

// Encode gives the text of an evidence file.
func (e *Evidence) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(e, "", " ")
	return append(b, '\n'), err
}

// CheckEvidence reads an evidence file and gives what the vault signed.
// Nothing else is asked and nothing is believed but the pin: a document that
// is not the pinned one is bundle.ErrPin, anything else ErrEvidence.
func CheckEvidence(pin bundle.Pin, text []byte) (*wire.StatusStatement, *bundle.Fleet, error) {
	var e Evidence
	if len(text) > EvidenceBytesMax || json.Unmarshal(text, &e) != nil || e.Kind != evidenceKind {
		return nil, nil, fmt.Errorf("%w: it does not read as one", ErrEvidence)
	}
	fleet, err := e.fleet(pin)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	if len(fleet.Status) == 0 {
		return nil, nil, fmt.Errorf("%w: %w", ErrEvidence, ErrUnsigned)
	}
	// The signature first: nothing that nobody signed is parsed.
	if !bundle.SignedBy(fleet.Status, sha256.Sum256(e.Statement), e.Signature) {
		return nil, nil, fmt.Errorf("%w: the signature is wrong", ErrEvidence)
	}
	s, err := wire.DecodeStatusStatement(e.Statement)
	if err != nil || s.Fleet != fleet.ID {
		return nil, nil, fmt.Errorf("%w: the vault signed something else", ErrEvidence)
	}
	return s, fleet, nil
}

// fleet is the pinned document, or that of an island which layouts signed by
// the pinned one's custodians name.
func (e *Evidence) fleet(pin bundle.Pin) (*bundle.Fleet, error) {
	if len(e.Layouts) == 0 {
		return pin.Check(e.Document)
	}
	shown, err := wire.DecodeLayouts(e.Layouts)
	if err != nil {
		return nil, err
	}
	if _, err := pin.Check(shown.Founder); err != nil {
		return nil, err
	}
	l, err := bundle.CheckLayouts(*shown)
	if err != nil {
		return nil, err
	}
	if signer := bundle.PinOf(e.Document); l.StatusKey(signer) != nil { // a layout names it
		fleet, _ := l.Island(signer)
		return fleet, nil
	}
	return nil, bundle.ErrPin
}
