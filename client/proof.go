package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/wire"
)

// Proof is a guess that was right, before its payload came: what a later run
// needs to ask for the payload again under the same slot, free of charge.
//
// The attack that it stops: somebody on the path drops every last answer, and
// a person with the right password spends a guess with each new run, until the
// record is destroyed.
//
// It opens the record that it belongs to, without the password, as long as
// that slot is the account's last. Keep it as the key itself is kept; it holds
// neither the password nor anything that a dictionary could be tried on.
type Proof struct {
	Version    uint8           `cbor:"1,keyasint"`
	Fleet      wire.FleetID    `cbor:"2,keyasint"`
	Account    string          `cbor:"3,keyasint"`
	Generation wire.Generation `cbor:"4,keyasint"`
	Slot       uint64          `cbor:"5,keyasint"`
	Stretch    wire.Stretch    `cbor:"6,keyasint"`
	KE1        []byte          `cbor:"7,keyasint"`
	KE3        []byte          `cbor:"8,keyasint"`
	SessionKey []byte          `cbor:"9,keyasint"`
	ExportKey  []byte          `cbor:"10,keyasint"`
}

const proofVersion = 1

var (
	// ErrProofText: bytes that are no proof.
	ErrProofText = errors.New("client: malformed proof")
	// ErrProofStale: the account has moved on since; the proof is of no use.
	ErrProofStale = errors.New("client: the kept proof is of an older attempt")
)

// Format keeps the proof's keys out of logs.
func (*Proof) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Proof is not nil when the password proved right. Of use when Run then ended
// with ErrOutcomeUnknown.
func (r *Recovery) Proof() *Proof { return r.proof }

// Encode gives the bytes for a file as safe as the key's.
func (p *Proof) Encode() ([]byte, error) {
	p.Version = proofVersion
	return wire.Encode(p)
}

// ParseProof undoes Encode, or gives ErrProofText.
func ParseProof(b []byte) (*Proof, error) {
	p := new(Proof)
	if err := wire.Decode(b, p); err != nil || p.Version != proofVersion || len(p.KE1) == 0 || len(p.KE3) == 0 || len(p.SessionKey) == 0 || len(p.ExportKey) == 0 {
		return nil, ErrProofText
	}
	return p, nil
}

// Resume asks again for the payload of a guess that was right. No guess is
// used, whatever comes of it. ErrProofStale: another guess, a new registration
// or another account has made the proof useless.
func (v *Vault) Resume(ctx context.Context, p *Proof) (Payload, wire.StatusReport, error) {
	at, err := v.watched(ctx)
	if err != nil {
		return Payload{}, wire.StatusReport{}, err
	}
	if p.Fleet != at.ID || p.Account != v.Account {
		return Payload{}, wire.StatusReport{}, ErrProofStale
	}
	r := &Recovery{vault: v, at: at, ke1: p.KE1, slot: p.Slot, proof: p, status: wire.StatusReport{Generation: p.Generation}}
	answer, exchange, err := r.start(ctx)
	if err != nil {
		return Payload{}, r.status, stale(err)
	}
	payload, status, err := r.redeem(ctx, exchange, answer.RecoverStart.Ticket)
	return payload, status, stale(err)
}

// stale tells, from the vault's sealed refusal, a proof that is of no use. What
// the relay says does not count: it would have the proof thrown away.
func stale(err error) error {
	if isHearsay(err) {
		return err
	}
	switch codeOf(err) {
	case wire.CodeSlot, wire.CodeGeneration, wire.CodeProof, wire.CodeNoRecord, wire.CodeDeleted, wire.CodeDestroyed, wire.CodeExhausted, wire.CodeDeparted:
		return &restated{ErrProofStale, err}
	}
	return err
}
