//go:build pkcs11 && cgo

package pkcs11

import (
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/internal/p256"
	"strongroom/vault/hal"
)

// MakeSigningKey makes a named key that signs.
func (h *HSM) MakeSigningKey(name string) ([]byte, error) { return h.makeNamed(name, true) }

// Sign is CKM_ECDSA (PKCS#11 v2.40 §2.3.6), which gives r || s.
func (h *HSM) Sign(name string, digest [32]byte) (signature []byte, err error) {
	err = h.use(func(s *session) error {
		k, err := s.key(name)
		if err == nil && !k.signs {
			err = hal.ErrNoKey
		}
		if err != nil {
			return err
		}
		if signature, err = s.sign(k.private, digest[:]); err != nil {
			return err
		}
		// A public half that someone swapped is found here too.
		if !p256.Verifies(k.public, digest[:], signature) {
			return fmt.Errorf("%w: a signature that does not verify", ErrAnswer)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

func (s *session) sign(key object, digest []byte) ([]byte, error) {
	if err := s.ctx.SignInit(s.handle, mechanism(p11.CKM_ECDSA, nil), key); err != nil {
		return nil, answered("C_SignInit (ECDSA)", err)
	}
	b, err := s.ctx.Sign(s.handle, digest)
	return b, answered("C_Sign (ECDSA)", err)
}
