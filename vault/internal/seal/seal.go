// Package seal is the box's own sealing: each value under a key of its own,
// derived from a long-lived secret and a random salt, so that no nonce is ever
// chosen twice under one key however many values a box seals.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"io"
)

const (
	saltBytes = 32
	// Overhead is what sealing adds, in bytes.
	Overhead = saltBytes + 16
)

// ErrSealed: the value was not sealed under this key, label and aad.
var ErrSealed = errors.New("seal: not sealed by this box, or damaged")

// Key is a long-lived secret. It refuses to print.
type Key [32]byte

func (Key) String() string   { return "seal.Key(hidden)" }
func (Key) GoString() string { return "seal.Key(hidden)" }

// Seal gives salt || AES-256-GCM(plaintext) (NIST SP 800-38D) under
// HKDF-SHA256(key, salt, label) (RFC 5869). Label tells the purpose and place;
// aad is authenticated beside it.
func Seal(rand io.Reader, key *Key, label string, aad, plaintext []byte) ([]byte, error) {
	out := make([]byte, saltBytes, saltBytes+len(plaintext)+16)
	if _, err := io.ReadFull(rand, out); err != nil {
		return nil, err
	}
	gcm, err := once(key, out, label)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(out, make([]byte, gcm.NonceSize()), plaintext, aad), nil
}

// Open undoes Seal, or gives ErrSealed.
func Open(key *Key, label string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrSealed
	}
	gcm, err := once(key, sealed[:saltBytes], label)
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed[saltBytes:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// once is the AEAD for the one value that salt belongs to: its nonce is zero.
func once(key *Key, salt []byte, label string) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key[:], salt, label, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
