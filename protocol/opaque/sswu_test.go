package opaque

import (
	"bytes"
	"crypto/rand"
	"math/big"
	"strings"
	"testing"

	"filippo.io/nistec"
	circl "github.com/cloudflare/circl/group"
)

// The vectors of RFC 9380 appendix J.1.1.
const (
	rfc9380File    = "../../spec/vectors/rfc9380.json"
	rfc9380Vectors = 5
)

type rfc9380Point struct{ X, Y string }

// is compares with an affine point, in hexadecimal.
func (p rfc9380Point) is(t *testing.T, got *nistec.P256Point) {
	t.Helper()
	same(t, "point", got.Bytes(), "04"+strings.TrimPrefix(p.X, "0x")+strings.TrimPrefix(p.Y, "0x"))
}

func TestRFC9380(t *testing.T) {
	var file struct {
		DST     string
		Vectors []struct {
			P, Q0, Q1 rfc9380Point
			Msg       string
			U         [2]string
		}
	}
	loadJSON(t, rfc9380File, &file)
	if len(file.Vectors) != rfc9380Vectors {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		v.P.is(t, hashToP256([]byte(v.Msg), []byte(file.DST)))
		for i, q := range []rfc9380Point{v.Q0, v.Q1} {
			u, err := coordinates.parse(unhex(t, strings.TrimPrefix(v.U[i], "0x")))
			must0(t, err)
			q.is(t, mapToP256(u))
		}
	}
}

// Against cloudflare/circl, which computes with math/big by another formula.
func TestHashToCurveDifferential(t *testing.T) {
	for n := range 300 {
		message, dst := make([]byte, n), make([]byte, 1+n%255)
		_, _ = rand.Read(message)
		_, _ = rand.Read(dst)
		want, err := circl.P256.HashToElement(message, dst).MarshalBinaryCompress()
		must0(t, err)
		if got := hashToP256(message, dst).BytesCompressed(); !bytes.Equal(got, want) {
			t.Fatalf("%x, %x:\n got %x\nwant %x", message, dst, got, want)
		}
	}
}

// mapByBig is map_to_curve_simple_swu read from RFC 9380 §6.6.2 once more,
// with the square root of math/big.
func mapByBig(u *big.Int) (x, y *big.Int) {
	p := new(big.Int).SetBytes(coordinates.m.Nat().Bytes(coordinates.m))
	mod := func(v *big.Int) *big.Int { return v.Mod(v, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	add := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Add(a, b)) }
	a, z, one := mod(big.NewInt(-3)), mod(big.NewInt(-10)), big.NewInt(1)
	b := new(big.Int).SetBytes(curveB.Bytes(coordinates.m))
	g := func(x *big.Int) *big.Int { return add(add(mul(mul(x, x), x), mul(a, x)), b) }

	zu2 := mul(z, mul(u, u))
	sum := add(mul(zu2, zu2), zu2)
	x = mul(b, new(big.Int).ModInverse(mul(z, a), p))
	if sum.Sign() != 0 {
		x = mul(mul(mod(new(big.Int).Neg(b)), new(big.Int).ModInverse(a, p)), add(one, new(big.Int).ModInverse(sum, p)))
	}
	y = new(big.Int).ModSqrt(g(x), p)
	if y == nil {
		x = mul(zu2, x)
		y = new(big.Int).ModSqrt(g(x), p)
	}
	if u.Bit(0) != y.Bit(0) {
		y = mod(new(big.Int).Neg(y))
	}
	return x, y
}

// The map at its exceptions, u = 0 and u = 1/sqrt(10) (where Zu^2 = -1), at
// the ends of the field, and at random.
func TestMapAtItsExceptions(t *testing.T) {
	f := coordinates
	tenth := f.pow(f.invert(f.small(10)), rootExponent)
	if zu2 := f.mul(sswuZ, f.mul(tenth, tenth)); zu2.IsMinusOne(f.m) != 1 {
		t.Fatal("1/sqrt(10) is wrong")
	}
	minus := func(u number) number { return f.sub(f.small(0), u) }
	us := []number{f.small(0), tenth, minus(tenth), f.small(1), minus(f.small(1)), f.small(2), minus(f.small(2))}
	for range 200 {
		wide := make([]byte, fieldWideBytes)
		_, _ = rand.Read(wide)
		us = append(us, f.reduce(wide))
	}
	for _, u := range us {
		x, y := mapByBig(new(big.Int).SetBytes(u.Bytes(f.m)))
		want := concat([]byte{4}, x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32)))
		if got := mapToP256(u).Bytes(); !bytes.Equal(got, want) {
			t.Errorf("u = %x:\n got %x\nwant %x", u.Bytes(f.m), got, want)
		}
	}
}

// Every operation of both fields, at the edges and at random, against math/big.
func TestFieldDifferential(t *testing.T) {
	for _, f := range []field{coordinates, scalars} {
		m := new(big.Int).SetBytes(f.m.Nat().Bytes(f.m))
		wides := [][]byte{make([]byte, fieldWideBytes), bytes.Repeat([]byte{0xff}, fieldWideBytes),
			m.FillBytes(make([]byte, fieldWideBytes)), new(big.Int).Add(m, big.NewInt(1)).FillBytes(make([]byte, fieldWideBytes)),
			new(big.Int).Sub(m, big.NewInt(1)).FillBytes(make([]byte, fieldWideBytes))}
		for range 100 {
			wide := make([]byte, fieldWideBytes)
			_, _ = rand.Read(wide)
			wides = append(wides, wide)
		}
		for i, wide := range wides {
			a, b := f.reduce(wide), f.reduce(wides[len(wides)-1-i])
			bigA, bigB := new(big.Int).SetBytes(wide), new(big.Int).SetBytes(wides[len(wides)-1-i])
			check := func(what string, got number, want *big.Int) {
				t.Helper()
				if want = want.Mod(want, m); new(big.Int).SetBytes(got.Bytes(f.m)).Cmp(want) != 0 {
					t.Errorf("%s of %x, %x", what, wide, wides[len(wides)-1-i])
				}
			}
			check("reduce", a, new(big.Int).Set(bigA))
			check("add", f.add(a, b), new(big.Int).Add(bigA, bigB))
			check("sub", f.sub(a, b), new(big.Int).Sub(bigA, bigB))
			check("mul", f.mul(a, b), new(big.Int).Mul(bigA, bigB))
			check("choose 1", f.choose(1, a, b), new(big.Int).Set(bigA))
			check("choose 0", f.choose(0, a, b), new(big.Int).Set(bigB))
			inverse := new(big.Int).ModInverse(bigA, m)
			if inverse == nil {
				inverse = new(big.Int) // inv0
			}
			check("invert", f.invert(a), inverse)
		}
	}
}
