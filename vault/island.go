package vault

import (
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/mlkem"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/seal"
)

// Names of the island's keys in its HSM.
const (
	keyChannel = "channel" // the P-256 half of the channel's KEM
	keyAKE     = "ake"     // OPAQUE's server key
	keyStatus  = "status"  // signs statuses
	keyBox     = "box"     // a box's identity, of an island of several
)

const (
	islandVersionFirst = 1 // of First light: with a ticket key
	islandVersion      = 2
)

// ErrIsland: the island's sealed keys do not open with this HSM, or belong to
// another fleet document.
var ErrIsland = errors.New("vault: these island keys do not belong to this HSM and fleet document")

// island holds the secrets that the box keeps in memory while it runs; at
// rest they are sealed by the HSM. They are per island, never per fleet.
type island struct {
	Version uint8    `cbor:"1,keyasint"`
	Secret  seal.Key `cbor:"2,keyasint"`          // the record tree's paths and MACs derive from it; First light sealed its log by it
	Ticket  seal.Key `cbor:"3,keyasint,omitzero"` // of First light, not used any more
	MLKEM   []byte   `cbor:"4,keyasint"`          // the ML-KEM-768 seed, 64 bytes (FIPS 203)
}

func (*island) String() string { return "vault.island(hidden)" }

// islandAAD binds the island's keys to the very bytes of the fleet's document:
// the host keeps both, and must not hand the box another policy (more
// attempts) or another issuer's key under the old keys.
func islandAAD(document []byte) []byte {
	hash := sha256.Sum256(document)
	return append([]byte("strongroom/v1/island"), hash[:]...)
}

// Founding says what a fleet is made with; none of it can be changed later.
type Founding struct {
	Suite     *opaque.Suite
	Policy    bundle.Policy
	Issuers   []bundle.Issuer
	Isolation string // what keeps the box from its host: "none", "process", "machine", "enclave"
	Rollback  string // what keeps the durable memory from being put back: "file", "token", "tpm"
	Alert     []byte // the operator's public key for alerts, of the channel's KEM; nil for none

	// Of an island of several boxes: MakeIdentity made each one's key.
	Boxes      []bundle.Box
	Custodians [][]byte // Ed25519 public keys
	Quorum     uint8    // of the custodians

	// Founder is the founder's document, of an island that joins its fleet: id,
	// suite, policy, issuers and alert key are then the founder's. nil: a new fleet.
	Founder []byte
}

// MakeIdentity makes a box's identity in an empty HSM.
func MakeIdentity(h hal.HAL) (key []byte, err error) { return h.MakeSigningKey(keyBox) }

// Make makes an island in an empty HSM, of a new fleet or of its founder's: its
// document, whose hash the clients of a new fleet pin, and the island's keys as
// the HSM sealed them.
func Make(h hal.HAL, f Founding) (document, sealedIsland []byte, err error) {
	fleet := bundle.Fleet{
		Version: bundle.Version, Suite: f.Suite.ID(), KEM: hpke.MLKEM768P256().ID(), Policy: f.Policy,
		Issuers: f.Issuers, HSM: h.Kind(), Isolation: f.Isolation, Rollback: f.Rollback, Alert: f.Alert,
		Boxes: f.Boxes, Custodians: f.Custodians, Quorum: f.Quorum,
	}
	if f.Founder == nil {
		err = h.Random(fleet.ID[:])
	} else {
		err = fleet.Join(f.Founder)
	}
	if err != nil {
		return nil, nil, err
	}
	suite, err := opaque.SuiteByID(fleet.Suite)
	if err != nil {
		return nil, nil, err
	}
	if fleet.AKE, err = h.MakeKey(keyAKE, groupOf(suite)); err != nil {
		return nil, nil, err
	}
	if _, err = h.MakeKey(keyChannel, hal.P256); err != nil {
		return nil, nil, err
	}
	if fleet.Status, err = h.MakeSigningKey(keyStatus); err != nil {
		return nil, nil, err
	}
	isle, err := newIsland(h)
	if err != nil {
		return nil, nil, err
	}
	private, err := isle.channelKey(h)
	if err != nil {
		return nil, nil, err
	}
	fleet.Channel = private.PublicKey().Bytes()
	if document, err = fleet.Encode(); err != nil {
		return nil, nil, err
	}
	plaintext, err := wire.Encode(isle)
	if err != nil {
		return nil, nil, err
	}
	if sealedIsland, err = h.Seal(islandAAD(document), plaintext); err != nil {
		return nil, nil, err
	}
	return document, sealedIsland, writeGenesis(h, fleet.ID)
}

func newIsland(h hal.HAL) (*island, error) {
	isle := &island{Version: islandVersion, MLKEM: make([]byte, mlkem.SeedSize)}
	for _, secret := range [][]byte{isle.Secret[:], isle.MLKEM} {
		if err := h.Random(secret); err != nil {
			return nil, err
		}
	}
	return isle, nil
}

func openIsland(h hal.HAL, document, sealed []byte) (*island, error) {
	plaintext, err := h.Open(islandAAD(document), sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIsland, err)
	}
	isle := new(island)
	if err := wire.Decode(plaintext, isle); err != nil || isle.Version < islandVersionFirst || isle.Version > islandVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrIsland)
	}
	return isle, nil
}

// channelKey is the HPKE key: ML-KEM-768 in the box, P-256 in the HSM.
func (i *island) channelKey(h hal.HAL) (hpke.PrivateKey, error) {
	pq, err := mlkem.NewDecapsulationKey768(i.MLKEM)
	if err != nil {
		return nil, err
	}
	public, err := h.PublicKey(keyChannel)
	if err != nil {
		return nil, err
	}
	point, err := uncompress(public)
	if err != nil {
		return nil, err
	}
	return hpke.NewHybridPrivateKey(crypto.Decapsulator(pq), &exchanger{h, point})
}

// exchanger is the HSM's half of the channel key.
type exchanger struct {
	hal    hal.HAL
	public *ecdh.PublicKey
}

func (e *exchanger) PublicKey() *ecdh.PublicKey { return e.public }
func (e *exchanger) Curve() ecdh.Curve          { return ecdh.P256() }

// ECDH gives the x coordinate (SP 800-56A §5.7.1.2). The HSM validates the
// point.
func (e *exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	raw := peer.Bytes() // 4 || x || y
	compressed := append([]byte{2 | raw[64]&1}, raw[1:33]...)
	return e.hal.MultiplyX(keyChannel, compressed)
}

func uncompress(point []byte) (*ecdh.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), point)
	if x == nil {
		return nil, hal.ErrPoint
	}
	raw := make([]byte, 65)
	raw[0] = 4
	x.FillBytes(raw[1:33])
	y.FillBytes(raw[33:])
	return ecdh.P256().NewPublicKey(raw)
}

func groupOf(s *opaque.Suite) hal.Group {
	if s.ID() == opaque.Ristretto255SHA512.ID() {
		return hal.Ristretto255
	}
	return hal.P256
}

// multiplier answers OPAQUE's multiplications from the HSM.
type multiplier func(point []byte) ([]byte, error)

func (m multiplier) Multiply(point []byte) ([]byte, error) { return m(point) }
