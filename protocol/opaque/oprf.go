package opaque

import (
	"github.com/cloudflare/circl/expander"
)

// The OPRF of RFC 9497 in mode 0x00.

// contextString is RFC 9497 §3.1: CreateContextString(modeOPRF, identifier).
func (s *Suite) contextString() string { return "OPRFV1-\x00-" + s.name }

// blind hides the password in a random-looking element (RFC 9497 §3.3.1).
func (s *Suite) blind(password []byte, k scalar) (element, error) {
	e, err := s.group.hashToElement(password, []byte("HashToGroup-"+s.contextString()))
	if err != nil {
		return nil, err
	}
	return e.multiply(k), nil
}

// finalize takes the blind off the server's answer and hashes (RFC 9497
// §3.3.1, Finalize).
func (s *Suite) finalize(password []byte, k scalar, evaluated element) []byte {
	unblinded := evaluated.multiply(s.group.invert(k))
	return s.sum(vector(password), vector(unblinded.bytes()), []byte("Finalize"))
}

// deriveKey is DeriveKeyPair of RFC 9497 §3.2.1, without the public key.
func (s *Suite) deriveKey(seed []byte, info string) (scalar, error) {
	dst := []byte("DeriveKeyPair" + s.contextString())
	input := concat(seed, vector([]byte(info)), []byte{0})
	for counter := range seedMax {
		input[len(input)-1] = byte(counter)
		wide := expander.NewExpanderMD(s.hash, dst).Expand(input, uint(s.group.wideBytes()))
		if k, err := s.group.reduce(wide); err == nil {
			return k, nil
		}
	}
	return nil, ErrKey
}

// deriveDiffieHellmanKey is RFC 9807 §6.4.1.1, without the public key.
func (s *Suite) deriveDiffieHellmanKey(seed []byte) (scalar, error) {
	return s.deriveKey(seed, "OPAQUE-DeriveDiffieHellmanKeyPair")
}
