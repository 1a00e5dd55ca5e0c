package channel

import (
	"crypto/hpke"
	"io"

	"strongroom/protocol/wire"
)

// The HPKE suite beside the KEM.
var (
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

// Exchange is the client's side of one trip: it opens the answer, and can make
// the second trip of a first.
type Exchange struct {
	kind    Kind
	salt    []byte // what the request began with: enc, or the second trip's salt
	secrets secrets
}

// Peer is the box's side of one trip.
type Peer Exchange

// SealFirst seals a first trip's plaintext to the island's channel key.
//
//	frame = header || enc || ciphertext
func SealFirst(public hpke.PublicKey, fleet wire.FleetID, plaintext []byte) (sealed []byte, e *Exchange, err error) {
	padded, err := pad(plaintext, firstBytes)
	if err != nil {
		return nil, nil, err
	}
	enc, sender, err := hpke.NewSender(public, kdf, aead, info(fleet))
	if err != nil {
		return nil, nil, err
	}
	ciphertext, err := sender.Seal(header(First), padded)
	if err != nil {
		return nil, nil, err
	}
	s, err := export(sender)
	if err != nil {
		return nil, nil, err
	}
	sealed = append(append(header(First), enc...), ciphertext...)
	return sealed, &Exchange{First, enc, s}, nil
}

// OpenFirst opens a first trip, or gives ErrSealed. It costs a KEM.
func OpenFirst(key hpke.PrivateKey, fleet wire.FleetID, sealed []byte) (plaintext []byte, p *Peer, err error) {
	if k, err := KindOf(sealed); err != nil || k != First {
		return nil, nil, ErrSealed
	}
	n := len(sealed) - firstBytes - tagBytes // the rest is enc
	if n <= frameHeader {
		return nil, nil, ErrSealed
	}
	enc := sealed[frameHeader:n]
	recipient, err := hpke.NewRecipient(enc, key, kdf, aead, info(fleet))
	if err != nil {
		return nil, nil, ErrSealed
	}
	padded, err := recipient.Open(header(First), sealed[n:])
	if err != nil {
		return nil, nil, ErrSealed
	}
	if plaintext, err = unpad(padded, firstBytes); err != nil {
		return nil, nil, err
	}
	s, err := export(recipient)
	if err != nil {
		return nil, nil, err
	}
	return plaintext, &Peer{First, enc, s}, nil
}

// OpenAnswer opens the answer to this trip and to no other, or gives ErrSealed.
func (e *Exchange) OpenAnswer(sealed []byte) ([]byte, error) {
	return openAnswer(e.secrets.answer, e.salt, sealed, e.kind)
}

// SealAnswer seals the answer to this trip. Rand nil is crypto/rand.
func (p *Peer) SealAnswer(rand io.Reader, plaintext []byte) ([]byte, error) {
	return sealAnswer(rand, p.secrets.answer, p.salt, plaintext, p.kind)
}

// SecondSecret goes into the ticket: whoever holds it can open the second trip.
func (p *Peer) SecondSecret() [32]byte { return p.secrets.second }
