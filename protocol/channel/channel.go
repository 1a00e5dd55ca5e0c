// Package channel is the sealed pipe between a client and a box. The relay and
// the node in between see lengths of a few classes and nothing else.
//
// A first trip is one HPKE message (RFC 9180, base mode) to the island's
// channel key, a hybrid of ML-KEM-768 and an elliptic curve: what is recorded
// today stays closed to a quantum computer of tomorrow. Its answer, and the
// second trip, are sealed under secrets that the HPKE context exports.
package channel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"

	"strongroom/protocol/wire"
)

// Kind tells a first trip from a second.
type Kind uint8

const (
	First  Kind = 1
	Second Kind = 2
)

// A frame begins with version and kind.
const (
	frameVersion = 1
	frameHeader  = 2
)

// ErrSealed: the frame does not open: damaged, cut, for another key, fleet or
// exchange, or of another version.
var ErrSealed = errors.New("channel: the sealed message does not open")

const (
	secretBytes = 32
	nonceBytes  = 32 // of an answer: max(Nn, Nk) of AES-256-GCM (RFC 9458 §4.4)
	saltBytes   = 32 // of a second trip
	tagBytes    = 16
)

// ParsePublicKey reads a channel key of a fleet document. Only the hybrids
// MLKEM768-P256 and MLKEM768-X25519 are taken.
func ParsePublicKey(kem uint16, b []byte) (hpke.PublicKey, error) {
	for _, k := range []hpke.KEM{hpke.MLKEM768P256(), hpke.MLKEM768X25519()} {
		if k.ID() == kem {
			return k.NewPublicKey(b)
		}
	}
	return nil, errors.New("channel: the fleet's KEM is not one of the post-quantum hybrids")
}

// KindOf reads a frame's header.
func KindOf(sealed []byte) (Kind, error) {
	if len(sealed) < frameHeader || sealed[0] != frameVersion {
		return 0, ErrSealed
	}
	if k := Kind(sealed[1]); k == First || k == Second {
		return k, nil
	}
	return 0, ErrSealed
}

func header(k Kind) []byte { return []byte{frameVersion, byte(k)} }

func info(fleet wire.FleetID) []byte {
	return append([]byte("strongroom/v1/channel"), fleet[:]...)
}

// exporter is what both ends of an HPKE context have (RFC 9180 §5.3).
type exporter interface {
	Export(context string, length int) ([]byte, error)
}

// secrets of one exchange: for its answer, and for the second trip.
type secrets struct{ answer, second [secretBytes]byte }

func (s *secrets) String() string   { return "channel.secrets(hidden)" }
func (s *secrets) GoString() string { return s.String() }

func export(e exporter) (s secrets, err error) {
	for label, into := range map[string]*[secretBytes]byte{
		"strongroom/v1/channel answer": &s.answer, "strongroom/v1/channel second": &s.second,
	} {
		b, err := e.Export(label, secretBytes)
		if err != nil {
			return s, err
		}
		copy(into[:], b)
	}
	return s, nil
}

// Sizes that plaintexts are padded to, so that a length tells no outcome.
const (
	firstBytes  = 6 << 10 // any first trip
	secondBytes = 6 << 10 // any second trip
	answerBytes = 6 << 10 // any answer
)

// pad gives length (4 bytes, big endian) || plaintext || zeros.
func pad(plaintext []byte, size int) ([]byte, error) {
	if len(plaintext)+4 > size {
		return nil, errors.New("channel: the message is too long")
	}
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, uint32(len(plaintext)))
	copy(b[4:], plaintext)
	return b, nil
}

// unpad takes only zeros behind the plaintext.
func unpad(b []byte, size int) ([]byte, error) {
	if len(b) != size {
		return nil, ErrSealed
	}
	n := int(binary.BigEndian.Uint32(b))
	if n > size-4 {
		return nil, ErrSealed
	}
	for _, c := range b[4+n:] {
		if c != 0 {
			return nil, ErrSealed
		}
	}
	return b[4 : 4+n], nil
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func draw(r io.Reader, n int) ([]byte, error) {
	if r == nil {
		r = rand.Reader
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
