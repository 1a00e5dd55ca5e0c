package vault

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
)

// passage is the island's secret on its way into another HSM, with the hash of
// the document that it belongs to.
type passage struct {
	Document [sha256.Size]byte `cbor:"1,keyasint"`
	Island   []byte            `cbor:"2,keyasint"`
}

func (passage) String() string   { return "vault.passage(hidden)" }
func (passage) GoString() string { return "vault.passage(hidden)" }

// Export wraps an island's keys and secret to the transfer key of another
// box's HSM. h is the HSM that Make made the island in, after MakeMovable.
func Export(h hal.Mover, document, sealedIsland, to []byte) (moved []byte, err error) {
	secret, err := openPassage(h, document, sealedIsland)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return h.Export(to, secret)
}

// Copy wraps them under a fresh key, for custodians to share.
func Copy(h hal.Mover, document, sealedIsland []byte) (copied []byte, key [hal.CopyKeyBytes]byte, err error) {
	secret, err := openPassage(h, document, sealedIsland)
	if err != nil {
		return nil, key, err
	}
	defer clear(secret)
	return h.Copy(secret)
}

// Receive takes what Export gave into the HSM of a box that the document
// names, and gives the island's secret as this HSM sealed it. ErrIsland: these
// are the keys of another island.
func Receive(h hal.Mover, document, moved []byte) (sealedIsland []byte, err error) {
	fleet, err := bundle.Decode(document)
	if err != nil {
		return nil, err
	}
	key, err := h.PublicKey(keyBox)
	if err != nil {
		return nil, err
	}
	if _, found := fleet.Box(bundle.Box{Key: key}.ID()); !found {
		return nil, fmt.Errorf("%w: the document does not name this box", ErrIsland)
	}
	secret, err := h.Import(moved)
	if err != nil {
		return nil, err
	}
	return settle(h, fleet, document, secret)
}

// ReceiveCopy takes what Copy gave into the HSM of a box that takes another's
// place: no document names it, a certificate of the custodians does.
func ReceiveCopy(h hal.Mover, document, copied []byte, key [hal.CopyKeyBytes]byte) (sealedIsland []byte, err error) {
	fleet, err := bundle.Decode(document)
	if err != nil {
		return nil, err
	}
	secret, err := h.ImportCopy(copied, key)
	if err != nil {
		return nil, err
	}
	return settle(h, fleet, document, secret)
}

func openPassage(h hal.HAL, document, sealedIsland []byte) ([]byte, error) {
	isle, err := openIsland(h, document, sealedIsland)
	if err != nil {
		return nil, err
	}
	plaintext, err := wire.Encode(isle)
	if err != nil {
		return nil, err
	}
	return wire.Encode(passage{sha256.Sum256(document), plaintext})
}

// settle seals what came in, if it is the island of this document: wrapping
// alone does not say whose keys they are, and a box with a stranger's would
// serve him.
func settle(h hal.HAL, fleet *bundle.Fleet, document, secret []byte) (sealedIsland []byte, err error) {
	defer clear(secret)
	var p passage
	isle := new(island)
	if wire.Decode(secret, &p) != nil || wire.Decode(p.Island, isle) != nil {
		return nil, fmt.Errorf("%w: the secret that came is of another version", ErrIsland)
	}
	if p.Document != sha256.Sum256(document) {
		return nil, fmt.Errorf("%w: the keys that came belong to another document", ErrIsland)
	}
	channel, err := isle.channelKey(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIsland, err)
	}
	ake, errAKE := h.PublicKey(keyAKE)
	status, errStatus := h.PublicKey(keyStatus)
	if errAKE != nil || errStatus != nil || !bytes.Equal(ake, fleet.AKE) || !bytes.Equal(status, fleet.Status) ||
		!bytes.Equal(channel.PublicKey().Bytes(), fleet.Channel) {
		return nil, fmt.Errorf("%w: a key that came is not the document's", ErrIsland)
	}
	if sealedIsland, err = h.Seal(islandAAD(document), p.Island); err != nil {
		return nil, err
	}
	return sealedIsland, writeGenesis(h, fleet.ID)
}

// writeGenesis comes last: an HSM whose memory holds an anchor has a fleet.
func writeGenesis(h hal.HAL, fleet wire.FleetID) error {
	return h.WriteMemory(ledger.Anchor{Head: ledger.Genesis(fleet)}.Encode(fleet))
}

// SignTranscript signs the SHA-256 of a ceremony's transcript with the box's
// identity, and nothing else: that key must not be everybody's pen.
func SignTranscript(h hal.HAL, fleet wire.FleetID, body [sha256.Size]byte) (signature []byte, err error) {
	return h.Sign(keyBox, sha256.Sum256(bundle.TranscriptStatement(fleet, body)))
}
