package opaque

import (
	"encoding/hex"

	"filippo.io/bigmod"
	"filippo.io/nistec"
	circl "github.com/cloudflare/circl/group"
)

// p256 is NIST P-256 (FIPS 186-5): elements are SEC1 compressed, scalars
// big-endian (RFC 9497 §4.3).
type p256 struct{}

const (
	p256ElementBytes = 33
	p256ScalarBytes  = 32
	p256WideBytes    = 48 // RFC 9380 §8.2: L = 48
)

// The order n of the group, and n-2, the exponent that inverts.
var (
	p256Order           = p256Modulus("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
	p256OrderMinusTwo   = p256Bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254f")
	p256TwoToThe192Bits = p256Bytes("0000000000000001000000000000000000000000000000000000000000000000")
)

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
	if len(b) != p256ScalarBytes {
		return nil, ErrKey
	}
	k, err := bigmod.NewNat().SetBytes(b, p256Order)
	if err != nil || k.IsZero() == 1 {
		return nil, ErrKey
	}
	return k.Bytes(p256Order), nil
}

func (p256) wideBytes() int { return p256WideBytes }

// reduce computes (high half)*2^192 + (low half) mod n: both halves are below
// n, so that no step depends on their values.
func (p256) reduce(wide []byte) (scalar, error) {
	const half = p256WideBytes / 2
	k := p256Nat(wide[:half])
	k.Mul(p256Nat(p256TwoToThe192Bits), p256Order)
	k.Add(p256Nat(wide[half:]), p256Order)
	if k.IsZero() == 1 {
		return nil, ErrKey
	}
	return k.Bytes(p256Order), nil
}

func (p256) base(k scalar) element {
	point, err := nistec.NewP256Point().ScalarBaseMult(k)
	return p256Element{must(point, err)}
}

// invert is Fermat's: k^(n-2) mod n, with a public exponent.
func (p256) invert(k scalar) scalar {
	return bigmod.NewNat().Exp(p256Nat(k), p256OrderMinusTwo, p256Order).Bytes(p256Order)
}

// hashToElement is P256_XMD:SHA-256_SSWU_RO_ (RFC 9380 §8.2). See the package
// comment on its timing.
func (g p256) hashToElement(message, dst []byte) (element, error) {
	b, err := circl.P256.HashToElement(message, dst).MarshalBinaryCompress()
	if err != nil {
		return nil, ErrInput
	}
	e, err := g.decode(b)
	if err != nil {
		return nil, ErrInput
	}
	return e, nil
}

func (e p256Element) multiply(k scalar) element {
	point, err := nistec.NewP256Point().ScalarMult(e.point, k)
	return p256Element{must(point, err)}
}

func (e p256Element) bytes() []byte { return e.point.BytesCompressed() }

// p256Nat reads a number that is known to be below n.
func p256Nat(b []byte) *bigmod.Nat {
	padded := make([]byte, p256ScalarBytes)
	copy(padded[p256ScalarBytes-len(b):], b)
	return must(bigmod.NewNat().SetBytes(padded, p256Order))
}

func p256Modulus(s string) *bigmod.Modulus { return must(bigmod.NewModulus(p256Bytes(s))) }

func p256Bytes(s string) []byte { return must(hex.DecodeString(s)) }

// must is for calls that fail only on lengths and constants which this
// package fixes itself: no message can bring the failure about.
func must[T any](v T, err error) T {
	if err != nil {
		panic("opaque: broken invariant: " + err.Error())
	}
	return v
}
