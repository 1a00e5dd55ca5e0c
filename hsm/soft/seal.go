package soft

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"strongroom/vault/hal"
)

const saltBytes = 32

var errOpen = errors.New("soft: does not open")

// sealOnce gives salt || AES-256-GCM (NIST SP 800-38D) under
// HKDF-SHA256(key, salt): a key for this one value, so its nonce may be zero
// and none is ever chosen twice.
func sealOnce(key secret, aad, plaintext []byte) ([]byte, error) {
	salt := make([]byte, saltBytes, saltBytes+len(plaintext)+16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	gcm, err := once(key, salt)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(salt, make([]byte, gcm.NonceSize()), plaintext, aad), nil
}

// openOnce undoes sealOnce, or gives errOpen.
func openOnce(key secret, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < saltBytes {
		return nil, errOpen
	}
	gcm, err := once(key, sealed[:saltBytes])
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed[saltBytes:], aad)
	if err != nil {
		return nil, errOpen
	}
	return plaintext, nil
}

func once(key secret, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key[:], salt, "strongroom/v1/soft/once", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal seals under a key that is only in the keyring.
func (h *HSM) Seal(aad, plaintext []byte) ([]byte, error) {
	s, err := h.secrets()
	if err != nil {
		return nil, err
	}
	return sealOnce(s.seal, aad, plaintext)
}

// Open undoes Seal, or gives hal.ErrSealed.
func (h *HSM) Open(aad, sealed []byte) ([]byte, error) {
	s, err := h.secrets()
	if err != nil {
		return nil, err
	}
	plaintext, err := openOnce(s.seal, aad, sealed)
	if err != nil {
		return nil, hal.ErrSealed
	}
	return plaintext, nil
}
