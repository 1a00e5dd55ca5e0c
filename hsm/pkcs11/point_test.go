package pkcs11

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"filippo.io/nistec"

	"strongroom/vault/hal"
)

// curve is the oracle: the standard library's affine arithmetic, of which the
// code under test uses nothing.
var curve = elliptic.P256()

func scalar(t testing.TB) *big.Int {
	t.Helper()
	k, err := rand.Int(rand.Reader, new(big.Int).Sub(curve.Params().N, big.NewInt(1)))
	if err != nil {
		t.Fatal(err)
	}
	return k.Add(k, big.NewInt(1))
}

// times gives k·B by the oracle, compressed.
func times(k *big.Int, point []byte) []byte {
	x, y := elliptic.UnmarshalCompressed(curve, point)
	x, y = curve.ScalarMult(x, y, k.Bytes())
	return elliptic.MarshalCompressed(curve, x, y)
}

func generator() []byte {
	return elliptic.MarshalCompressed(curve, curve.Params().Gx, curve.Params().Gy)
}

// multiple is m·G, for negative m too.
func multiple(m int64) []byte { return times(modN(m), generator()) }

func modN(m int64) *big.Int { return new(big.Int).Mod(big.NewInt(m), curve.Params().N) }

// xOnly is a token in software: k inside, x outside, leading zeros left out as
// some vendors do. It refuses the identity like a token.
func xOnly(t testing.TB, k *big.Int, asked *int) derive {
	return func(point []byte) ([]byte, error) {
		*asked++
		x, y := elliptic.Unmarshal(curve, point) //nolint:staticcheck // what tokens take
		if x == nil {
			t.Fatalf("the token was asked for %x", point)
		}
		x, _ = curve.ScalarMult(x, y, k.Bytes())
		return x.Bytes(), nil
	}
}

// specials are the points at which the second derivation has something to get
// wrong, as multiples of G and of K.
func specials(k *big.Int) map[string][]byte {
	n := curve.Params().N
	public := times(k, generator())
	inverse := new(big.Int).ModInverse(k, n)
	negative := func(p []byte) []byte { return times(new(big.Int).Sub(n, big.NewInt(1)), p) }
	all := map[string][]byte{
		"G": multiple(1), "-G": multiple(-1), "2G": multiple(2), "-2G": multiple(-2), "3G": multiple(3), "-3G": multiple(-3),
		"K": public, "-K": negative(public), "kK": times(k, public),
		"G/k": times(inverse, generator()), "-G/k": negative(times(inverse, generator())),
	}
	return all
}

func TestMultiplyIsWhole(t *testing.T) {
	rounds, signs := 0, map[byte]int{}
	for _, k := range append([]*big.Int{modN(1), modN(2), modN(-1), modN(-2)}, scalar(t), scalar(t), scalar(t)) {
		public, err := parsePoint(times(k, generator()))
		if err != nil {
			t.Fatal(err)
		}
		points := specials(k)
		for i := range 30 {
			points[string(rune('a'+i))] = times(scalar(t), generator())
		}
		for name, point := range points {
			asked := 0
			got, err := multiply(xOnly(t, k, &asked), public, point)
			if err != nil || !bytes.Equal(got, times(k, point)) {
				t.Errorf("k = %v, B = %s: %x %v", k, name, got, err)
				continue
			}
			if want := 2; !bytes.Equal(point, multiple(-1)) && asked != want {
				t.Errorf("B = %s: %d derivations", name, asked)
			}
			rounds++
			signs[got[0]]++
		}
	}
	if rounds < 250 || signs[evenY] < 50 || signs[oddY] < 50 {
		t.Fatalf("%d rounds, signs %v", rounds, signs)
	}
}

// A token that computes wrong, or is made to, gives no product.
func TestWrongTokenIsRefused(t *testing.T) {
	k := scalar(t)
	public, err := parsePoint(times(k, generator()))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	right := xOnly(t, k, &asked)
	other := xOnly(t, scalar(t), &asked)
	point := times(scalar(t), generator())
	calls := 0
	wrong := map[string]derive{
		"another key":      other,
		"the second wrong": func(p []byte) ([]byte, error) { calls++; return []derive{right, other}[(calls+1)%2](p) },
		"no x":             func([]byte) ([]byte, error) { return nil, nil },
		"a long x":         func([]byte) ([]byte, error) { return bytes.Repeat([]byte{1}, 33), nil },
		"not on the curve": func([]byte) ([]byte, error) { return []byte{5}, nil }, // no y: 5 is no x of P-256? checked below
		"not below p":      func([]byte) ([]byte, error) { return bytes.Repeat([]byte{0xff}, 32), nil },
	}
	for name, ask := range wrong {
		if got, err := multiply(ask, public, point); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %x %v", name, got, err)
		}
	}
	fault := errors.New("fault")
	for after := range 2 {
		calls := 0
		ask := func(p []byte) ([]byte, error) {
			calls++
			if calls > after {
				return nil, fault
			}
			return right(p)
		}
		if _, err := multiply(ask, public, point); !errors.Is(err, fault) {
			t.Errorf("a fault at call %d: %v", after+1, err)
		}
	}
}

// offCurve is the first number that is the x of no point.
func offCurve() []byte {
	for i := byte(1); ; i++ {
		x := append(make([]byte, coordinateBytes-1), i)
		if px, _ := unmarshal(append([]byte{evenY}, x...)); px == nil {
			return x
		}
	}
}

func unmarshal(b []byte) (x, y *big.Int) { return elliptic.UnmarshalCompressed(curve, b) }

func TestCoordinate(t *testing.T) {
	for n := 1; n <= 40; n++ {
		got, err := coordinate(append(make([]byte, n-1), 7))
		if err != nil || len(got) != 32 || got[31] != 7 || !bytes.Equal(got[:31], make([]byte, 31)) {
			t.Errorf("%d bytes: %x %v", n, got, err)
		}
	}
	for _, bad := range [][]byte{nil, {}, bytes.Repeat([]byte{1}, 33), append([]byte{0}, bytes.Repeat([]byte{1}, 33)...)} {
		if _, err := coordinate(bad); !errors.Is(err, ErrAnswer) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func FuzzParsePoint(f *testing.F) {
	f.Add(generator())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePoint(b)
		var x *big.Int
		if len(b) == compressedBytes {
			x, _ = unmarshal(b)
		}
		if (err == nil) != (x != nil) {
			t.Fatalf("the standard library disagrees: %v", err)
		}
		if err == nil && !bytes.Equal(p.BytesCompressed(), b) {
			t.Fatal("a second encoding of one point")
		}
		if err != nil && !errors.Is(err, hal.ErrPoint) {
			t.Fatal(err)
		}
	})
}

func FuzzParseTokenPoint(f *testing.F) {
	plain := elliptic.Marshal(curve, curve.Params().Gx, curve.Params().Gy) //nolint:staticcheck // what tokens give
	f.Add(plain)
	f.Add(append([]byte{4, 65}, plain...))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseTokenPoint(b)
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Fatal(err)
			}
			return
		}
		if isIdentity(p) || !bytes.HasSuffix(b, p.Bytes()) || len(b) > 2+uncompressedBytes {
			t.Fatalf("%x is not in %x", p.Bytes(), b)
		}
	})
}

func FuzzChooseY(f *testing.F) {
	public := nistec.NewP256Point().SetGenerator()
	f.Add(multiple(2)[1:], multiple(3)[1:])
	f.Fuzz(func(t *testing.T, x, nextX []byte) {
		if len(x) != coordinateBytes || len(nextX) != coordinateBytes {
			return
		}
		got, err := chooseY(x, nextX, public)
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Fatal(err)
			}
			return
		}
		p, err := parsePoint(got)
		if err != nil || !bytes.Equal(got[1:], x) || !bytes.Equal(sumX(p, public), nextX) {
			t.Fatalf("%x is not the point: %v", got, err)
		}
	})
}
