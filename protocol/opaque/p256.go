package opaque

import "filippo.io/nistec"

// p256 is NIST P-256 (FIPS 186-5): elements are SEC1 compressed, scalars
// big-endian (RFC 9497 §4.3).
type p256 struct{}

const p256ElementBytes = 33

// scalars is the field of integers modulo the order of the group.
var scalars = newField("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")

type p256Element struct{ point *nistec.P256Point }

func (p256) decode(b []byte) (element, error) {
	// The length refuses SEC1's one-byte infinity and the uncompressed form;
	// SetBytes refuses x >= p and x off the curve.
	if len(b) != p256ElementBytes {
		return nil, ErrMessage
	}
	point, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, ErrMessage
	}
	return p256Element{point}, nil
}

func (p256) decodeScalar(b []byte) (scalar, error) {
	k, err := scalars.parse(b)
	if err != nil {
		return nil, err
	}
	return p256Scalar(k)
}

func (p256) wideBytes() int { return fieldWideBytes }

func (p256) reduce(wide []byte) (scalar, error) { return p256Scalar(scalars.reduce(wide)) }

func p256Scalar(k number) (scalar, error) {
	if k.IsZero() == 1 {
		return nil, ErrKey
	}
	return k.Bytes(scalars.m), nil
}

func (p256) base(k scalar) element {
	point, err := nistec.NewP256Point().ScalarBaseMult(k)
	return p256Element{must(point, err)}
}

func (p256) invert(k scalar) scalar {
	return scalars.invert(must(scalars.parse(k))).Bytes(scalars.m)
}

func (p256) hashToElement(message, dst []byte) (element, error) {
	point := hashToP256(message, dst)
	if point.IsInfinity() == 1 {
		return nil, ErrInput
	}
	return p256Element{point}, nil
}

func (e p256Element) multiply(k scalar) element {
	point, err := nistec.NewP256Point().ScalarMult(e.point, k)
	return p256Element{must(point, err)}
}

func (e p256Element) bytes() []byte { return e.point.BytesCompressed() }

// must is for calls that fail only on lengths and constants which this
// package fixes itself: no message can bring the failure about.
func must[T any](v T, err error) T {
	if err != nil {
		panic("opaque: broken invariant: " + err.Error())
	}
	return v
}
