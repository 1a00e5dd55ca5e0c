package pkcs11

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"filippo.io/nistec"

	"strongroom/vault/hal"
)

const (
	coordinateBytes   = 32
	compressedBytes   = 1 + coordinateBytes   // SEC 1 §2.3.3
	uncompressedBytes = 1 + 2*coordinateBytes // what tokens take and give

	evenY        = 2
	oddY         = 3
	uncompressed = 4
	octetString  = 4 // DER tag of CKA_EC_POINT's wrapping
)

// p256Parameters is the DER of the curve's object identifier (RFC 5480
// §2.1.1.1): CKA_EC_PARAMS.
var p256Parameters = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// parsePoint takes the one encoding of an element: compressed, on the curve,
// not the identity. Tokens take other forms in silence, and a point off the
// curve would tell about the scalar: so none reaches them.
func parsePoint(b []byte) (*nistec.P256Point, error) {
	if len(b) != compressedBytes {
		return nil, hal.ErrPoint
	}
	p, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, hal.ErrPoint
	}
	return p, nil
}

// parseTokenPoint reads CKA_EC_POINT: a DER octet string around an uncompressed
// point (PKCS#11 v2.40 §2.3.3), which some vendors leave out.
func parseTokenPoint(b []byte) (*nistec.P256Point, error) {
	if len(b) == 2+uncompressedBytes && b[0] == octetString && b[1] == uncompressedBytes {
		b = b[2:]
	}
	if len(b) != uncompressedBytes || b[0] != uncompressed {
		return nil, fmt.Errorf("%w: a public key is no uncompressed point", ErrAnswer)
	}
	p, err := nistec.NewP256Point().SetBytes(b)
	if err != nil {
		return nil, fmt.Errorf("%w: a public key is not on the curve", ErrAnswer)
	}
	return p, nil
}

// coordinate makes x 32 bytes long: vendors differ on leading zeros.
func coordinate(x []byte) ([]byte, error) {
	for len(x) > coordinateBytes && x[0] == 0 {
		x = x[1:]
	}
	if len(x) == 0 || len(x) > coordinateBytes {
		return nil, fmt.Errorf("%w: a derived x of %d bytes", ErrAnswer, len(x))
	}
	padded := make([]byte, coordinateBytes)
	copy(padded[coordinateBytes-len(x):], x)
	return padded, nil
}

// derive gives x(k·P) of an uncompressed P: all that a token's ECDH gives.
type derive func(point []byte) (x []byte, err error)

// x is of 32 bytes.
func (d derive) x(p *nistec.P256Point) ([]byte, error) {
	x, err := d(p.Bytes())
	if err != nil {
		return nil, err
	}
	return coordinate(x)
}

// multiply gives the whole point k·B, where K = k·G is public, from two
// derivations: x(k·B) leaves y and -y, and x(k·B + K) = x(k·(B+G)) says which,
// since the x of P+K and of -P+K differ (else 2P or 2K were the identity, and
// the group has no element of order two).
func multiply(ask derive, public *nistec.P256Point, point []byte) ([]byte, error) {
	b, err := parsePoint(point)
	if err != nil {
		return nil, err
	}
	x, err := ask.x(b)
	if err != nil {
		return nil, err
	}
	next := nistec.NewP256Point().Add(b, nistec.NewP256Point().SetGenerator())
	if isIdentity(next) { // B = -G: no token multiplies the identity, and k·B = -K is known
		return negative(public), nil
	}
	nextX, err := ask.x(next)
	if err != nil {
		return nil, err
	}
	return chooseY(x, nextX, public)
}

// chooseY gives the compressed point of x whose sum with public has nextX. The
// choice is made without a branch: the AKE key's product is a secret.
func chooseY(x, nextX []byte, public *nistec.P256Point) ([]byte, error) {
	even := append([]byte{evenY}, x...)
	p, err := nistec.NewP256Point().SetBytes(even)
	if err != nil {
		return nil, fmt.Errorf("%w: no point has the derived x", ErrAnswer)
	}
	isEven := subtle.ConstantTimeCompare(sumX(p, public), nextX)
	isOdd := subtle.ConstantTimeCompare(sumX(nistec.NewP256Point().Negate(p), public), nextX)
	// Neither or both: the token multiplied by two different scalars, or was
	// made to err by an attacker who hopes for a faulty product.
	if isEven^isOdd != 1 {
		return nil, fmt.Errorf("%w: its two derivations are not of one key", ErrAnswer)
	}
	even[0] = byte(subtle.ConstantTimeSelect(isEven, evenY, oddY))
	return even, nil
}

// sumX is the x of p+q; of the identity it is 33 bytes of zero, which equals
// no x.
func sumX(p, q *nistec.P256Point) []byte {
	sum := nistec.NewP256Point().Add(p, q)
	x, err := sum.BytesX()
	if err != nil {
		return make([]byte, coordinateBytes+1)
	}
	return x
}

func isIdentity(p *nistec.P256Point) bool { return bytes.Equal(p.Bytes(), []byte{0}) }

func negative(p *nistec.P256Point) []byte {
	return nistec.NewP256Point().Negate(p).BytesCompressed()
}
