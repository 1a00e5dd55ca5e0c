// Package once seals values each under a key of its own, derived from one
// secret: AES-256-GCM (NIST SP 800-38D) under HKDF-SHA256 (RFC 5869) of secret
// and a random salt. A key seals one value, so its nonce may be zero and none is
// ever chosen twice.
package once

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

const (
	saltBytes = 32
	tagBytes  = 16
)

// Overhead is how much longer a sealed value is than what it holds.
const Overhead = saltBytes + tagBytes

// ErrOpen: sealed under another secret or label, to another aad, or damaged.
var ErrOpen = errors.New("once: does not open")

// Seal gives salt || ciphertext. label is what HKDF is told, a provider's own.
func Seal(secret *[32]byte, label string, aad, plaintext []byte) ([]byte, error) {
	salt := make([]byte, saltBytes, len(plaintext)+Overhead)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	gcm, err := key(secret, label, salt)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(salt, make([]byte, gcm.NonceSize()), plaintext, aad), nil
}

// Open undoes Seal, or gives ErrOpen.
func Open(secret *[32]byte, label string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < saltBytes {
		return nil, ErrOpen
	}
	gcm, err := key(secret, label, sealed[:saltBytes])
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed[saltBytes:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

func key(secret *[32]byte, label string, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, secret[:], salt, label, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
