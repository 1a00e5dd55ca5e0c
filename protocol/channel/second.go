package channel

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"strongroom/protocol/wire"
)

// SealSecond seals a second trip under the first's secret, with its ticket in
// front. A fresh salt makes a fresh key, so a second trip may be repeated.
//
//	frame = header || len(ticket) (2) || ticket || salt || AES-256-GCM(padded plaintext)
func (e *Exchange) SealSecond(ticket, plaintext []byte) (sealed []byte, answer *Exchange, err error) {
	salt, err := draw(nil, saltBytes)
	if err != nil {
		return nil, nil, err
	}
	return e.sealSecond(ticket, plaintext, salt)
}

func (e *Exchange) sealSecond(ticket, plaintext, salt []byte) ([]byte, *Exchange, error) {
	padded, err := pad(plaintext, secondBytes)
	if err != nil {
		return nil, nil, err
	}
	if len(ticket) == 0 || len(ticket) > wire.TicketBytesMax {
		return nil, nil, ErrSealed
	}
	k, err := secondKeys(e.secrets.second, salt)
	if err != nil {
		return nil, nil, err
	}
	sealed := binary.BigEndian.AppendUint16(header(Second), uint16(len(ticket)))
	sealed = append(append(sealed, ticket...), salt...)
	return k.aead.Seal(sealed, k.iv, padded, aad(ticket)), k.exchange(salt), nil
}

// SplitSecond takes a second trip apart, or gives ErrSealed.
func SplitSecond(sealed []byte) (ticket, body []byte, err error) {
	if k, err := KindOf(sealed); err != nil || k != Second || len(sealed) < frameHeader+2 {
		return nil, nil, ErrSealed
	}
	n := int(binary.BigEndian.Uint16(sealed[frameHeader:]))
	rest := sealed[frameHeader+2:]
	if n == 0 || n > wire.TicketBytesMax || len(rest) != n+saltBytes+secondBytes+tagBytes {
		return nil, nil, ErrSealed
	}
	return rest[:n:n], rest[n:], nil
}

// OpenSecond opens the body of a second trip under the secret of its ticket,
// or gives ErrSealed.
func OpenSecond(secret [32]byte, body, ticket []byte) (plaintext []byte, p *Peer, err error) {
	if len(body) < saltBytes {
		return nil, nil, ErrSealed
	}
	salt := bytes.Clone(body[:saltBytes])
	k, err := secondKeys(secret, salt)
	if err != nil {
		return nil, nil, err
	}
	padded, err := k.aead.Open(nil, k.iv, body[saltBytes:], aad(ticket))
	if err != nil {
		return nil, nil, ErrSealed
	}
	if plaintext, err = unpad(padded, secondBytes); err != nil {
		return nil, nil, err
	}
	return plaintext, (*Peer)(k.exchange(salt)), nil
}

// aad binds the body to its ticket.
func aad(ticket []byte) []byte { return append(header(Second), ticket...) }

type secondKey struct {
	aead   cipher.AEAD
	iv     []byte
	answer [secretBytes]byte
}

func secondKeys(secret [secretBytes]byte, salt []byte) (k secondKey, err error) {
	okm, err := hkdf.Key(sha256.New, secret[:], salt, "strongroom/v1/channel second trip", 32+12+secretBytes)
	if err != nil {
		return k, err
	}
	k.iv = okm[32:44]
	copy(k.answer[:], okm[44:])
	k.aead, err = gcm(okm[:32])
	return k, err
}

func (k secondKey) exchange(salt []byte) *Exchange {
	return &Exchange{kind: Second, salt: salt, secrets: secrets{answer: k.answer}}
}
