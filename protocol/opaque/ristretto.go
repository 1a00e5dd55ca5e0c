package opaque

import (
	"crypto"

	"github.com/cloudflare/circl/expander"
	"github.com/gtank/ristretto255"
)

// ristretto is ristretto255 (RFC 9496): elements and scalars are 32 bytes,
// scalars little-endian (RFC 9497 §4.1).
type ristretto struct{}

const ristrettoWideBytes = 64

type ristrettoElement struct{ point *ristretto255.Element }

func (ristretto) decode(b []byte) (element, error) {
	point, err := ristretto255.NewIdentityElement().SetCanonicalBytes(b)
	if err != nil || ristrettoIsIdentity(point) {
		return nil, ErrMessage
	}
	return ristrettoElement{point}, nil
}

func (ristretto) decodeScalar(b []byte) (scalar, error) {
	k, err := ristretto255.NewScalar().SetCanonicalBytes(b)
	if err != nil || k.Equal(ristretto255.NewScalar()) == 1 {
		return nil, ErrKey
	}
	return k.Bytes(), nil
}

func (ristretto) wideBytes() int { return ristrettoWideBytes }

func (ristretto) reduce(wide []byte) (scalar, error) {
	k := must(ristretto255.NewScalar().SetUniformBytes(wide))
	if k.Equal(ristretto255.NewScalar()) == 1 {
		return nil, ErrKey
	}
	return k.Bytes(), nil
}

func (ristretto) base(k scalar) element {
	return ristrettoElement{ristretto255.NewIdentityElement().ScalarBaseMult(ristrettoScalar(k))}
}

func (ristretto) invert(k scalar) scalar {
	return ristretto255.NewScalar().Invert(ristrettoScalar(k)).Bytes()
}

// hashToElement is ristretto255_XMD:SHA-512_R255MAP_RO_ (RFC 9380 appendix B).
func (ristretto) hashToElement(message, dst []byte) (element, error) {
	wide := expander.NewExpanderMD(crypto.SHA512, dst).Expand(message, ristrettoWideBytes)
	point := must(ristretto255.NewIdentityElement().SetUniformBytes(wide))
	if ristrettoIsIdentity(point) {
		return nil, ErrInput
	}
	return ristrettoElement{point}, nil
}

func (e ristrettoElement) multiply(k scalar) element {
	return ristrettoElement{ristretto255.NewIdentityElement().ScalarMult(ristrettoScalar(k), e.point)}
}

func (e ristrettoElement) bytes() []byte { return e.point.Bytes() }

func ristrettoIsIdentity(p *ristretto255.Element) bool {
	return p.Equal(ristretto255.NewIdentityElement()) == 1
}

func ristrettoScalar(k scalar) *ristretto255.Scalar {
	return must(ristretto255.NewScalar().SetCanonicalBytes(k))
}
