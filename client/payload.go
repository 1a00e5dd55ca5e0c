package client

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"strongroom/protocol/wire"
)

// Limits of a payload, in bytes.
const (
	RepositoryIDBytesMax  = 32
	RepositoryURLBytesMax = 800
	payloadBytes          = 1 << 10 // every payload is padded to this, so that its length tells nothing of the URL
)

const payloadVersion = 1

// Payload is what a record keeps for its owner: the backup key and where the
// backup lies. Location is the repository's URL without secrets.
type Payload struct {
	Key           Key
	RepositoryID  []byte
	RepositoryURL string
}

// ErrPayload: a payload that does not parse or breaks a limit.
var ErrPayload = errors.New("client: malformed payload")

// ErrSealedKey: the sealed key does not open. Somebody exchanged it, or it
// belongs to another account, generation or stretch.
var ErrSealedKey = errors.New("client: the vault's sealed key does not open")

// String keeps the payload's key out of logs.
func (Payload) String() string             { return redacted }
func (Payload) GoString() string           { return redacted }
func (Payload) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

type payloadWire struct {
	Version       uint8  `cbor:"1,keyasint"`
	Key           []byte `cbor:"2,keyasint"`
	RepositoryID  []byte `cbor:"3,keyasint"`
	RepositoryURL string `cbor:"4,keyasint"`
}

func (p Payload) check() error {
	switch {
	case p.Key.IsZero():
		return fmt.Errorf("%w: no key", ErrPayload)
	case len(p.RepositoryID) > RepositoryIDBytesMax:
		return fmt.Errorf("%w: repository id over %d bytes", ErrPayload, RepositoryIDBytesMax)
	case len(p.RepositoryURL) > RepositoryURLBytesMax || !utf8.ValidString(p.RepositoryURL):
		return fmt.Errorf("%w: repository URL over %d bytes, or not UTF-8", ErrPayload, RepositoryURLBytesMax)
	}
	return nil
}

// encode gives payloadBytes bytes: a 16-bit length, deterministic CBOR
// (RFC 8949 §4.2.1), zeros.
func (p Payload) encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	body, err := wire.Encode(payloadWire{payloadVersion, p.Key[:], p.RepositoryID, p.RepositoryURL})
	if err != nil {
		return nil, err
	}
	if len(body) > payloadBytes-2 {
		return nil, ErrPayload
	}
	out := make([]byte, payloadBytes)
	binary.BigEndian.PutUint16(out, uint16(len(body)))
	copy(out[2:], body)
	return out, nil
}

// decodePayload refuses whatever does not encode back to the same bytes.
func decodePayload(b []byte) (Payload, error) {
	if len(b) != payloadBytes {
		return Payload{}, fmt.Errorf("%w: %d bytes", ErrPayload, len(b))
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return Payload{}, fmt.Errorf("%w: length", ErrPayload)
	}
	var w payloadWire
	if err := wire.Decode(b[2:2+n], &w); err != nil {
		return Payload{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	if w.Version != payloadVersion {
		return Payload{}, fmt.Errorf("%w: version %d, this program knows %d", ErrPayload, w.Version, payloadVersion)
	}
	if len(w.Key) != KeyBytes {
		return Payload{}, fmt.Errorf("%w: key of %d bytes", ErrPayload, len(w.Key))
	}
	p := Payload{Key: Key(w.Key), RepositoryID: w.RepositoryID, RepositoryURL: w.RepositoryURL}
	again, err := p.encode()
	if err != nil {
		return Payload{}, err
	}
	if !bytes.Equal(again, b) {
		return Payload{}, fmt.Errorf("%w: not canonical", ErrPayload)
	}
	return p, nil
}

// place is where a sealed key belongs. All of it is bound into the sealing,
// so that a vault which hands out another account's, another generation's or
// an older record's sealed key is found out.
type place struct {
	Fleet      wire.FleetID
	Account    string
	Generation wire.Generation
	Stretch    wire.Stretch
}

// bytes is unambiguous: every field has a fixed length but the last.
func (p place) bytes() []byte {
	b := append([]byte(labelSealedKey), 0)
	b = append(b, p.Fleet[:]...)
	b = append(b, p.Generation[:]...)
	b = binary.BigEndian.AppendUint32(b, p.Stretch.Time)
	b = binary.BigEndian.AppendUint32(b, p.Stretch.MemoryKiB)
	b = append(b, p.Stretch.Threads)
	return append(b, p.Account...)
}

// aead derives the key for this one sealing: OPAQUE's export key is new with
// every registration (its envelope nonce is), and the place goes in as info,
// so the constant nonce is used once under it.
func (p place) aead(exportKey []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, exportKey, nil, string(p.bytes()), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

var onceNonce [12]byte

func (p place) seal(exportKey []byte, payload Payload) ([]byte, error) {
	plain, err := payload.encode()
	if err != nil {
		return nil, err
	}
	gcm, err := p.aead(exportKey)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, onceNonce[:], plain, p.bytes()), nil
}

func (p place) open(exportKey, sealed []byte) (Payload, error) {
	gcm, err := p.aead(exportKey)
	if err != nil {
		return Payload{}, err
	}
	plain, err := gcm.Open(nil, onceNonce[:], sealed, p.bytes())
	if err != nil {
		return Payload{}, ErrSealedKey
	}
	return decodePayload(plain)
}
