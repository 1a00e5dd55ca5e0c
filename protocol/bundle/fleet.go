// Package bundle is the fleet's document and how a client checks it. Today a
// client pins the document's hash; signatures by an independent witness come
// with more than one island.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

// Version of the document.
const Version = 1

// Limits of the document.
const (
	DocumentBytesMax = 8 << 10
	issuersMax       = 8
	custodiansMax    = 16
	nameBytesMax     = 64
	keyBytesMax      = 4 << 10
	attemptsMax      = 10 // a promise: no fleet may give more guesses
	lifetimeMax      = 100
	ticketMillisMin  = 1_000
	ticketMillisMax  = 10 * 60 * 1000
	resetMillisMax   = 90 * 24 * 60 * 60 * 1000
	epochMillisMin   = 60 * 1000
	epochMillisMax   = 30 * 24 * 60 * 60 * 1000
	waitMillisMax    = 7 * 24 * 60 * 60 * 1000
)

// ErrDocument: the bytes are no fleet document that this program knows.
var ErrDocument = errors.New("bundle: not a fleet document of this version")

// Fleet says which keys and which rules are real. It never changes: a fleet
// with other rules is another fleet, with another pin.
type Fleet struct {
	Version   uint8        `cbor:"1,keyasint"`
	ID        wire.FleetID `cbor:"2,keyasint"`
	Suite     uint8        `cbor:"3,keyasint"` // opaque.Suite.ID
	KEM       uint16       `cbor:"4,keyasint"` // HPKE KEM id of Channel
	Channel   []byte       `cbor:"5,keyasint"` // the island's channel key
	AKE       []byte       `cbor:"6,keyasint"` // OPAQUE's server public key
	Policy    Policy       `cbor:"7,keyasint"`
	Issuers   []Issuer     `cbor:"8,keyasint"`
	HSM       string       `cbor:"9,keyasint"`  // provider, "soft"
	Isolation string       `cbor:"10,keyasint"` // what keeps the box from its host: "none", "process", "machine", "enclave"
	Rollback  string       `cbor:"11,keyasint"` // what keeps its memory from being put back: "file", "token", "tpm"

	// Status is the island's key under its signed status reports (ECDSA
	// P-256, SEC1 compressed, in the HSM); none in older documents.
	Status []byte `cbor:"12,keyasint,omitempty"`

	// Alert is the operator's public HPKE key (of KEM) that events of accounts
	// are sealed to; none: the vault tells the operator of no account.
	Alert []byte `cbor:"13,keyasint,omitempty"`

	// Boxes are those of the island; none: it has one, without an identity.
	Boxes []Box `cbor:"14,keyasint,omitempty"`

	// Custodians may, Quorum of them together, start an island again that has
	// no majority. Ed25519 public keys (RFC 8032); none: nobody may.
	Custodians [][]byte `cbor:"15,keyasint,omitempty"`
	Quorum     uint8    `cbor:"16,keyasint,omitempty"`

	// Founder is the pin of the island that the fleet began with, in the
	// documents of islands that joined it later (layout.go).
	Founder Pin `cbor:"17,keyasint,omitzero"`
}

// Box is one box of an island.
type Box struct {
	Key      []byte `cbor:"1,keyasint"` // its identity: ECDSA P-256, SEC1 compressed, in its HSM
	HSM      string `cbor:"2,keyasint"` // as Fleet.HSM
	Rollback string `cbor:"3,keyasint"` // as Fleet.Rollback
}

// ID names the box.
func (b Box) ID() wire.BoxID {
	hash := sha256.Sum256(b.Key)
	return wire.BoxID(hash[:wire.BoxIDBytes])
}

// Box finds a box of the island by its name.
func (f *Fleet) Box(id wire.BoxID) (b Box, found bool) {
	for _, b := range f.Boxes {
		if b.ID() == id {
			return b, true
		}
	}
	return Box{}, false
}

// Policy is what no admin call can raise.
type Policy struct {
	Attempts     uint8  `cbor:"1,keyasint"` // guesses a generation, at most 10
	TicketMillis uint64 `cbor:"2,keyasint"` // how long a login may take

	// WaitsMillis[n-1] is how long attempt n waits after attempt n-1, both
	// since the last success; attempts past its end wait not at all.
	WaitsMillis []uint64 `cbor:"3,keyasint,omitempty"`

	// Lifetime is how many wrong attempts an account may make in all, from
	// Attempts to 100; zero, in documents of First light, is no limit.
	Lifetime uint32 `cbor:"4,keyasint,omitempty"`

	// ResetMillis is how long a registration or deletion without a proof waits
	// while a record is live; zero, in documents of First light: there is none.
	ResetMillis uint64 `cbor:"5,keyasint,omitempty"`

	// EpochMillis is how long an epoch lasts: what was deleted, destroyed or
	// replaced in one is gone for ever when the next has taken its place.
	// Zero, in documents of First light, is a day.
	EpochMillis uint64 `cbor:"6,keyasint,omitempty"`
}

// Issuer may name accounts, by signing tokens.
type Issuer struct {
	ID  string `cbor:"1,keyasint"` // the token's "kid"
	Alg string `cbor:"2,keyasint"` // "EdDSA" (Key: 32 bytes) or "ES256" (Key: 65 bytes, SEC1 uncompressed)
	Key []byte `cbor:"3,keyasint"`
}

// The algorithms of tokens (RFC 8037, RFC 7518 §3.4).
const (
	EdDSA = "EdDSA"
	ES256 = "ES256"
)

// Encode gives the document's bytes, which the pin is made of.
func (f *Fleet) Encode() ([]byte, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	return wire.Encode(f)
}

// Decode reads a document, or gives ErrDocument. It does not tell whose it
// is: clients use Pin.Check.
func Decode(document []byte) (*Fleet, error) {
	if len(document) > DocumentBytesMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrDocument, len(document))
	}
	f := new(Fleet)
	if err := wire.Decode(document, f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Fleet) validate() error {
	switch {
	case f.Version != Version:
		return fmt.Errorf("%w: version %d", ErrDocument, f.Version)
	case f.ID == wire.FleetID{}:
		return fmt.Errorf("%w: no fleet id", ErrDocument)
	case f.Policy.Attempts < 1 || f.Policy.Attempts > attemptsMax:
		return fmt.Errorf("%w: %d attempts, where 1 to %d are allowed", ErrDocument, f.Policy.Attempts, attemptsMax)
	case f.Policy.TicketMillis < ticketMillisMin || f.Policy.TicketMillis > ticketMillisMax:
		return fmt.Errorf("%w: tickets of %d ms", ErrDocument, f.Policy.TicketMillis)
	case f.Policy.Lifetime != 0 && (f.Policy.Lifetime < uint32(f.Policy.Attempts) || f.Policy.Lifetime > lifetimeMax):
		return fmt.Errorf("%w: %d attempts in a lifetime", ErrDocument, f.Policy.Lifetime)
	case f.Policy.ResetMillis > resetMillisMax:
		return fmt.Errorf("%w: resets after %d ms", ErrDocument, f.Policy.ResetMillis)
	case f.Policy.EpochMillis != 0 && (f.Policy.EpochMillis < epochMillisMin || f.Policy.EpochMillis > epochMillisMax):
		return fmt.Errorf("%w: epochs of %d ms", ErrDocument, f.Policy.EpochMillis)
	case len(f.Channel) == 0 || len(f.Channel) > keyBytesMax || len(f.AKE) == 0 || len(f.AKE) > keyBytesMax:
		return fmt.Errorf("%w: a key is missing", ErrDocument)
	case len(f.Status) != 0 && len(f.Status) != wire.StatusKeyBytes:
		return fmt.Errorf("%w: a status key of %d bytes", ErrDocument, len(f.Status))
	case len(f.Alert) > keyBytesMax:
		return fmt.Errorf("%w: an alert key of %d bytes", ErrDocument, len(f.Alert))
	case len(f.HSM) > nameBytesMax || len(f.Isolation) > nameBytesMax || len(f.Rollback) > nameBytesMax:
		return fmt.Errorf("%w: a name is too long", ErrDocument)
	}
	if err := f.Policy.validateWaits(); err != nil {
		return err
	}
	if err := f.validateBoxes(); err != nil {
		return err
	}
	return f.validateIssuers()
}

// validateBoxes: an even number of boxes survives no more losses than one
// less, and asks for more to agree.
func (f *Fleet) validateBoxes() error {
	n := len(f.Boxes)
	if n != 0 && n != 3 && n != 5 && n != 7 {
		return fmt.Errorf("%w: an island of %d boxes, where 1, 3, 5 or 7 are allowed", ErrDocument, n)
	}
	seen := map[wire.BoxID]bool{}
	for _, b := range f.Boxes {
		if len(b.Key) != wire.BoxKeyBytes || seen[b.ID()] || len(b.HSM) > nameBytesMax || len(b.Rollback) > nameBytesMax {
			return fmt.Errorf("%w: box %s", ErrDocument, b.ID())
		}
		seen[b.ID()] = true
	}
	if len(f.Custodians) > custodiansMax || int(f.Quorum) > len(f.Custodians) || (f.Quorum == 0) != (len(f.Custodians) == 0) {
		return fmt.Errorf("%w: %d of %d custodians", ErrDocument, f.Quorum, len(f.Custodians))
	}
	if n > 0 && f.Quorum == 0 {
		return fmt.Errorf("%w: an island of several boxes needs custodians to start", ErrDocument)
	}
	for i, c := range f.Custodians {
		if len(c) != wire.OwnerKeyBytes || slices.ContainsFunc(f.Custodians[:i], func(o []byte) bool { return bytes.Equal(o, c) }) {
			return fmt.Errorf("%w: custodian %d", ErrDocument, i+1)
		}
	}
	return nil
}

// validateWaits: no wait before the first attempt, none shorter than the one
// before it, and no zeros at the end, which would be a second way to say it.
func (p *Policy) validateWaits() error {
	n := len(p.WaitsMillis)
	if n > int(p.Attempts) || n > 0 && (p.WaitsMillis[0] != 0 || p.WaitsMillis[n-1] == 0) || !slices.IsSorted(p.WaitsMillis) {
		return fmt.Errorf("%w: waits of %v ms before %d attempts", ErrDocument, p.WaitsMillis, p.Attempts)
	}
	if n > 0 && p.WaitsMillis[n-1] > waitMillisMax {
		return fmt.Errorf("%w: a wait of %d ms", ErrDocument, p.WaitsMillis[n-1])
	}
	return nil
}

func (f *Fleet) validateIssuers() error {
	if len(f.Issuers) < 1 || len(f.Issuers) > issuersMax {
		return fmt.Errorf("%w: %d issuers", ErrDocument, len(f.Issuers))
	}
	seen := map[string]bool{}
	for _, i := range f.Issuers {
		length := map[string]int{EdDSA: 32, ES256: 65}[i.Alg]
		if i.ID == "" || len(i.ID) > nameBytesMax || seen[i.ID] || length == 0 || len(i.Key) != length {
			return fmt.Errorf("%w: issuer %q", ErrDocument, i.ID)
		}
		seen[i.ID] = true
	}
	return nil
}
