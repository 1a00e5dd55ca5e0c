package opaque

import (
	"encoding/hex"

	"filippo.io/bigmod"
)

// field is the integers modulo one of P-256's two primes, in constant time: no
// step of any method depends on the values, only on the prime's length. It is
// filippo.io/bigmod with results in place of receivers.
type field struct {
	m        *bigmod.Modulus
	minusTwo []byte // m - 2, the exponent that inverts
}

// number is an element of a field: always reduced.
type number = *bigmod.Nat

const (
	fieldBytes     = 32
	fieldWideBytes = 48 // RFC 9380 §5.1: L, for a bias below 2^-128
)

func newField(prime string) field {
	f := field{m: must(bigmod.NewModulus(must(hex.DecodeString(prime))))}
	two := f.small(2)
	f.minusTwo = f.sub(f.small(0), two).Bytes(f.m)
	return f
}

// parse reads 32 big-endian bytes and refuses what is not below m.
func (f field) parse(b []byte) (number, error) {
	if len(b) != fieldBytes {
		return nil, ErrKey
	}
	x, err := bigmod.NewNat().SetBytes(b, f.m)
	if err != nil {
		return nil, ErrKey
	}
	return x, nil
}

// reduce is OS2IP(wide) mod m for 48 bytes: (upper half)*2^192 + (lower half),
// where both halves are far below m.
func (f field) reduce(wide []byte) number {
	const half = fieldWideBytes / 2
	padded := func(b []byte) number { return must(f.parse(concat(make([]byte, fieldBytes-half), b))) }
	shift := make([]byte, fieldBytes)
	shift[fieldBytes-1-half] = 1
	return f.add(f.mul(padded(wide[:half]), must(f.parse(shift))), padded(wide[half:]))
}

func (f field) small(n uint) number { return bigmod.NewNat().SetUint(n).ExpandFor(f.m) }

func (f field) add(a, b number) number { return f.small(0).Add(a, f.m).Add(b, f.m) }
func (f field) sub(a, b number) number { return f.small(0).Add(a, f.m).Sub(b, f.m) }
func (f field) mul(a, b number) number { return f.small(0).Add(a, f.m).Mul(b, f.m) }

// pow is a^e, where e may be secret too.
func (f field) pow(a number, e []byte) number { return bigmod.NewNat().Exp(a, e, f.m) }

// invert is 1/a by Fermat's theorem, and 0 for 0 (inv0 of RFC 9380 §4).
func (f field) invert(a number) number { return f.pow(a, f.minusTwo) }

// choose is a where c is 1, b where it is 0 (CMOV of RFC 9380 §4).
func (f field) choose(c uint, a, b number) number {
	return f.add(b, f.mul(f.small(c), f.sub(a, b)))
}
