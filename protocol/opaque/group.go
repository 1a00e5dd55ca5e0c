package opaque

import (
	"fmt"
	"io"
)

// group is a prime-order group with the operations of RFC 9497 §2.1.
type group interface {
	// decode reads an element in its one canonical encoding (ErrMessage).
	// It refuses the identity: a product with it tells nothing about the
	// scalar, and a session made with it has keys that anyone can compute.
	decode(b []byte) (element, error)

	// decodeScalar reads a canonical scalar that is not zero (ErrKey).
	decodeScalar(b []byte) (scalar, error)

	// reduce makes a scalar of wideBytes uniform bytes, with a bias below
	// 2^-128. ErrKey when it would be zero.
	reduce(wide []byte) (scalar, error)
	wideBytes() int

	base(k scalar) element
	invert(k scalar) scalar

	// hashToElement is the hash-to-curve suite of the group (RFC 9380 §8).
	// Only the client needs it. ErrInput when it would be the identity.
	hashToElement(message, dst []byte) (element, error)
}

// element is a group element that is not the identity.
type element interface {
	multiply(k scalar) element
	bytes() []byte // the canonical encoding
}

// scalar is a canonical, non-zero scalar in the group's encoding. It is
// always secret here. Only decodeScalar, reduce and invert make one.
type scalar []byte

// Format prints nothing of the scalar.
func (scalar) Format(f fmt.State, _ rune) { redact(f, "scalar") }

// redact prints a secret's name in place of the secret.
func redact(f fmt.State, name string) { _, _ = io.WriteString(f, "opaque."+name+"(redacted)") }

// randomScalar draws a scalar by wide reduction (RFC 9497 §4.7.2).
func randomScalar(g group, rand io.Reader) (scalar, error) {
	wide, err := draw(rand, g.wideBytes())
	if err != nil {
		return nil, err
	}
	return g.reduce(wide)
}

// draw reads n random bytes.
func draw(rand io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("opaque: no random bits: %w", err)
	}
	return b, nil
}
