package seal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var testKey = &[32]byte{7, 1, 0xfe, 3}

func testKeys(t testing.TB) *Keys {
	t.Helper()
	return NewKeys(testKey, NewHeader(testKey))
}

// TestNoNonceTwice seals in many packs and objects and asserts at an oracle
// of its own that no (key, nonce) pair comes twice: a key is told by what it
// makes of one fixed block.
func TestNoNonceTwice(t *testing.T) {
	k := testKeys(t)
	seen := map[string]bool{}
	use := func(s secret, nonce []byte) {
		mark := hex.EncodeToString(s.aead.Seal(nil, make([]byte, nonceBytes), nil, []byte("mark"))) + hex.EncodeToString(nonce)
		if seen[mark] {
			t.Fatal("a key and nonce twice")
		}
		seen[mark] = true
	}
	for range 200 {
		p := k.NewPack("p/one") // one name, to make the salt carry it alone
		at := uint32(FrameBytes)
		for range 50 {
			b, err := p.Seal(nil, at, PartPlace(PartPadding), []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			use(p.secret, nonce(at))
			if _, err := p.Seal(nil, at, PartPlace(PartPadding), []byte("y")); !errors.Is(err, ErrOffset) {
				t.Fatal("sealed twice at one offset")
			}
			if _, err := p.Seal(nil, at+uint32(len(b))-1, PartPlace(PartPadding), nil); !errors.Is(err, ErrOffset) {
				t.Fatal("sealed inside another part")
			}
			at += uint32(len(b))
		}
		if _, err := k.KnownPack("p/one", p.Salt()).Seal(nil, at, nil, nil); !errors.Is(err, ErrOffset) {
			t.Fatal("a pack that is there sealed more")
		}
	}
	for range 2000 {
		o, err := k.Object("m/one", nil)
		if err != nil {
			t.Fatal(err)
		}
		use(k.derive(labelObject, "m/one", [SaltBytes]byte(o[prefixBytes:])), make([]byte, nonceBytes))
	}
	if len(seen) != 200*50+2000 {
		t.Fatalf("%d pairs", len(seen))
	}
}

// TestPartsDoNotPassForOthers opens a sealed part as every other part, kind,
// id and offset.
func TestPartsDoNotPassForOthers(t *testing.T) {
	k := testKeys(t)
	p := k.NewPack("p/x")
	id := ID{1}
	places := [][]byte{SegmentPlace(KindFile, id), SegmentPlace(KindPages, id), SegmentPlace(KindFile, ID{2}),
		PartPlace(PartPadding), PartPlace(PartTable), PartPlace(PartTrailer)}
	at := uint32(FrameBytes)
	for i, place := range places {
		b, err := p.Seal(nil, at, place, []byte("part"))
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range places {
			_, err := p.Open(nil, at, other, b)
			if (err == nil) != (i == j) {
				t.Fatalf("part %d opened as %d: %v", i, j, err)
			}
		}
		if _, err := p.Open(nil, at+1, place, b); err == nil {
			t.Fatal("opened at another offset")
		}
		if _, err := k.KnownPack("p/y", p.Salt()).Open(nil, at, place, b); err == nil {
			t.Fatal("opened in another pack")
		}
		at += uint32(len(b))
	}
}

func TestCorrectKey(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	h := NewHeader(testKey)
	mistype := func(n int) [32]byte {
		k := *testKey
		for done := map[int]bool{}; len(done) < n; {
			i := rnd.IntN(keyDigits)
			if !done[i] {
				setDigit(&k, i, digit(&k, i)^byte(1+rnd.IntN(15)))
				done[i] = true
			}
		}
		return k
	}
	tries := []int{1, 3, 1} // by number of wrong digits
	if raceOn {
		tries = tries[:2] // two of them: heavy
	}
	for n, tries := range tries {
		for range tries {
			k := mistype(n)
			if got, ok := CorrectKey(h, &k); !ok || got != *testKey {
				t.Fatalf("%d wrong digits not put right", n)
			}
		}
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {3, 60}} {
		k := *testKey
		a, b := digit(&k, pair[0]), digit(&k, pair[1])
		setDigit(&k, pair[0], b)
		setDigit(&k, pair[1], a)
		if got, ok := CorrectKey(h, &k); !ok || got != *testKey {
			t.Fatalf("swap %v not put right", pair)
		}
	}
	if raceOn {
		return // every candidate: heavy
	}
	k := mistype(5)
	start := time.Now()
	if _, ok := CorrectKey(h, &k); ok {
		t.Fatal("five wrong digits put right")
	}
	t.Logf("every candidate tried in %v", time.Since(start))
}

func TestDigits(t *testing.T) {
	k := *testKey
	for i, c := range hex.EncodeToString(k[:]) {
		var want byte
		fmt.Sscanf(string(c), "%x", &want)
		if digit(&k, i) != want {
			t.Fatalf("digit %d is %x, want %x", i, digit(&k, i), want)
		}
	}
}

const padmeMax = 1 << 18

func TestPadmeIsBounded(t *testing.T) {
	classes := map[int]bool{}
	for n := range padmeMax {
		p := Padme(n)
		if p < n || p > n+n/8 || Padme(p) != p {
			t.Fatalf("Padme(%d) = %d", n, p)
		}
		classes[p] = true
	}
	if len(classes) > 400 {
		t.Fatalf("%d sizes", len(classes))
	}
}

func TestStoredForm(t *testing.T) {
	c, err := NewCodec(2)
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, SegmentBytesMax)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := 0; i < len(random); i += 8 {
		binary.LittleEndian.PutUint64(random[i:], rnd.Uint64())
	}
	text := bytes.Repeat([]byte("a message "), SegmentBytesMax/10)
	for _, x := range []struct {
		plain []byte
		flag  byte
	}{{nil, flagStored}, {random[:1], flagStored}, {random, flagStored}, {random[:5000], flagStored}, {text, flagZstd}, {make([]byte, SegmentBytesMax), flagZstd}} {
		s := c.Store(nil, x.plain)
		if s[0] != x.flag || len(s) > len(x.plain)+1 {
			t.Fatalf("%d bytes: flag %d, %d stored", len(x.plain), s[0], len(s))
		}
		got, err := c.Plain(nil, s, len(x.plain))
		if err != nil || !bytes.Equal(got, x.plain) {
			t.Fatalf("%d bytes: %v", len(x.plain), err)
		}
		if _, err := c.Plain(nil, s, len(x.plain)+1); !errors.Is(err, ErrStored) {
			t.Fatalf("wrong length: %v", err)
		}
	}
	if _, err := c.Plain(nil, append([]byte{flagZstd}, c.encoder.EncodeAll(make([]byte, 64<<20), nil)...), SegmentBytesMax); !errors.Is(err, ErrStored) {
		t.Fatalf("64 MiB of zeros unpacked: %v", err)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := testKeys(t)
	secret := fmt.Sprintf("%x", k.seal)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if s := fmt.Sprintf(verb, k); s != "seal.Keys(redacted)" || s == secret {
			t.Fatalf("%s prints %s", verb, s)
		}
	}
}

func FuzzHeader(f *testing.F) {
	h := NewHeader(testKey)
	f.Add(h.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseHeader(b)
		if err == nil && !bytes.Equal(got.Bytes(), b) {
			t.Fatal("parsed, then other bytes")
		}
	})
}

func FuzzObject(f *testing.F) {
	k := testKeys(f)
	o, err := k.Object("m/x", []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(o)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.OpenObject("m/x", b); err == nil && !bytes.Equal(b, o) {
			t.Fatal("opened what was never sealed")
		}
	})
}

func FuzzStored(f *testing.F) {
	c, err := NewCodec(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Store(nil, bytes.Repeat([]byte("a message "), 10)), 100)
	f.Add(c.Store(nil, []byte("m")), 1)
	f.Fuzz(func(t *testing.T, b []byte, raw int) {
		if plain, err := c.Plain(nil, b, raw); err == nil && (len(plain) != raw || raw > SegmentBytesMax) {
			t.Fatal("more than a segment")
		}
	})
}
