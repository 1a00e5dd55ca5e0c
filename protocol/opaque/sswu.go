package opaque

import (
	"crypto"
	"encoding/hex"

	"filippo.io/nistec"
	"github.com/cloudflare/circl/expander"
)

// Hash-to-curve suite P256_XMD:SHA-256_SSWU_RO_ (RFC 9380 §8.2), in constant
// time: the libraries that offer it branch on the password's hash.

// P-256: y^2 = x^3 + Ax + B over coordinates.
var (
	coordinates = newField("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
	curveA      = coordinates.sub(coordinates.small(0), coordinates.small(3))
	curveB      = must(coordinates.parse(must(hex.DecodeString("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"))))
	sswuZ       = coordinates.sub(coordinates.small(0), coordinates.small(10))

	minusBOverA   = coordinates.mul(curveB, coordinates.invert(coordinates.small(3)))
	minusOneOverZ = coordinates.invert(coordinates.small(10))
	rootExponent  = must(hex.DecodeString("3fffffffc0000000400000000000000000000000400000000000000000000000")) // (p + 1) / 4
	rootMinusZ    = coordinates.pow(coordinates.small(10), rootExponent)                                       // sqrt(-Z)
)

// hashToP256 is hash_to_curve (RFC 9380 §3); its cofactor is 1.
func hashToP256(message, dst []byte) *nistec.P256Point {
	wide := expander.NewExpanderMD(crypto.SHA256, dst).Expand(message, 2*fieldWideBytes)
	q0 := mapToP256(coordinates.reduce(wide[:fieldWideBytes]))
	q1 := mapToP256(coordinates.reduce(wide[fieldWideBytes:]))
	return q0.Add(q0, q1)
}

// mapToP256 is map_to_curve_simple_swu (RFC 9380 §6.6.2), with its names. One
// of x1 and x2 is on the curve, and one root serves both: where gx1 has none,
// y1^2 = -gx1, and gx2 = (Z u^2)^3 gx1 has the root Z u^3 sqrt(-Z) y1.
func mapToP256(u number) *nistec.P256Point {
	f := coordinates
	zu2 := f.mul(sswuZ, f.mul(u, u))
	tv1 := f.invert(f.add(f.mul(zu2, zu2), zu2))
	factor := f.choose(tv1.IsZero(), minusOneOverZ, f.add(f.small(1), tv1))
	x1 := f.mul(minusBOverA, factor)
	x2 := f.mul(zu2, x1)

	gx1 := f.add(f.mul(f.add(f.mul(x1, x1), curveA), x1), curveB)
	y1 := f.pow(gx1, rootExponent)
	y2 := f.mul(f.mul(zu2, u), f.mul(rootMinusZ, y1))
	square := f.mul(y1, y1).Equal(gx1)

	x, y := f.choose(square, x1, x2), f.choose(square, y1, y2)
	y = f.choose(u.IsOdd()^y.IsOdd(), f.sub(f.small(0), y), y)
	// SetBytes checks that the point is on the curve: for what this function
	// makes, always.
	encoded := concat([]byte{4}, x.Bytes(f.m), y.Bytes(f.m))
	return must(nistec.NewP256Point().SetBytes(encoded))
}
