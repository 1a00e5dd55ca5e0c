//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/hmac"
	"crypto/rand"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// Each sealed value has a key of its own: generated in the token, used for one
// encryption, kept beside the value wrapped by a key that never leaves. So no
// nonce is ever used twice under a key, no count of uses has to be kept over
// restarts, and nothing but mechanisms that wrapped OPRF keys need anyway is
// asked of the token. (Random nonces under one key would end at 2^32 values,
// NIST SP 800-38D §8.3; derivation inside differs from vendor to vendor.)

var valueKey = template{
	attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_AES), attribute(p11.CKA_VALUE_LEN, aesBytes),
	attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true),
	attribute(p11.CKA_EXTRACTABLE, true), attribute(p11.CKA_ENCRYPT, true),
}

var unwrappedValueKey = template{
	attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_AES),
	attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true),
	attribute(p11.CKA_EXTRACTABLE, false), attribute(p11.CKA_DECRYPT, true),
}

// Seal seals under a key that is in the token only.
func (h *HSM) Seal(aad, plaintext []byte) (sealed []byte, err error) {
	err = h.use(func(s *session) error {
		sealed, err = s.seal(h.login.config.WrapMechanism, aad, plaintext)
		return err
	})
	return sealed, err
}

func (s *session) seal(wrapMechanism uint, aad, plaintext []byte) (sealed []byte, err error) {
	key, err := s.generateKey(valueKey)
	if err != nil {
		return nil, err
	}
	defer func() { err = first(err, s.destroy(key)) }()
	wrapped, err := s.wrap(wrapMechanism, s.keys.root().seal, key)
	if err != nil {
		return nil, err
	}
	if len(wrapped) < wrappedBytesMin || len(wrapped) > wrappedBytesMax {
		return nil, fmt.Errorf("%w: a wrapped key of %d bytes", ErrAnswer, len(wrapped))
	}
	nonce := make([]byte, nonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	nonce, ciphertext, err := s.encryptWhole(key, nonce, aad, plaintext)
	if err != nil {
		return nil, err
	}
	body := sealedBlob{uint32(wrapMechanism), nonce, wrapped, ciphertext}.body()
	sum, err := s.sum(sealedInput(aad, body))
	return append(body, sum...), err
}

// Open undoes Seal, or gives hal.ErrSealed.
func (h *HSM) Open(aad, sealed []byte) (plaintext []byte, err error) {
	blob, body, sum, malformed := parseSealed(sealed)
	err = h.use(func(s *session) error {
		if malformed != nil {
			return malformed
		}
		want, err := s.sum(sealedInput(aad, body))
		if err != nil {
			return err
		}
		if !hmac.Equal(want, sum) {
			return hal.ErrSealed
		}
		number, err := h.mechanism(blob.mechanism)
		if err != nil {
			return err
		}
		plaintext, err = s.unseal(number, blob, aad)
		return err
	})
	return plaintext, err
}

func (s *session) unseal(number uint, blob sealedBlob, aad []byte) (plaintext []byte, err error) {
	key, err := s.unwrap(number, s.keys.root().seal, blob.wrapped, unwrappedValueKey)
	if err != nil {
		return nil, err
	}
	defer func() { err = first(err, s.destroy(key)) }()
	return s.decrypt(key, blob.nonce, aad, blob.ciphertext)
}
