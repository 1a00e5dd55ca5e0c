package soft

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"strongroom/vault/hal"
)

// MakeSigningKey makes a named key that signs and keeps it in the keyring.
func (h *HSM) MakeSigningKey(name string) ([]byte, error) { return h.makeNamed(name, hal.P256, true) }

// Sign is ECDSA over P-256 (FIPS 186-5 §6.4.1).
func (h *HSM) Sign(name string, digest [32]byte) ([]byte, error) {
	k, err := h.named(name)
	if err != nil {
		return nil, err
	}
	if !k.Signs {
		return nil, hal.ErrNoKey
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.Scalar[:])
	if err != nil {
		return nil, err
	}
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 2*len(k.Scalar))
	r.FillBytes(signature[:len(k.Scalar)])
	s.FillBytes(signature[len(k.Scalar):])
	return signature, nil
}
