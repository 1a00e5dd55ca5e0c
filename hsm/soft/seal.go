package soft

import (
	"strongroom/hsm/internal/once"
	"strongroom/vault/hal"
)

const onceLabel = "strongroom/v1/soft/once"

func sealOnce(key secret, aad, plaintext []byte) ([]byte, error) {
	return once.Seal((*[32]byte)(&key), onceLabel, aad, plaintext)
}

func openOnce(key secret, aad, sealed []byte) ([]byte, error) {
	return once.Open((*[32]byte)(&key), onceLabel, aad, sealed)
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
