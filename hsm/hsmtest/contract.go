// Package hsmtest is the one contract that every HSM provider passes, and the
// oracle that counts evaluations at an HSM's door.
package hsmtest

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/cloudflare/circl/group"

	"strongroom/vault/hal"
)

// Maker gives HSMs to a contract run.
type Maker interface {
	// Groups are those that the HSM has; P256 is among them.
	Groups() []hal.Group
	// New makes an empty HSM.
	New(t *testing.T) hal.HAL
	// Reopen closes h and opens the same HSM again.
	Reopen(t *testing.T, h hal.HAL) hal.HAL
	// Rival opens the same HSM as a second holder while h has it, past the
	// locks that keep an honest one out.
	Rival(t *testing.T, h hal.HAL) hal.HAL
	// PutBack runs change, then puts back whatever files the provider keeps
	// outside the HSM as they were before, and opens the HSM again. For a
	// provider that is nothing but files, or keeps none, it only opens again.
	PutBack(t *testing.T, h hal.HAL, change func(hal.HAL)) hal.HAL
}

// Run runs the contract.
func Run(t *testing.T, m Maker) {
	if !slices.Contains(m.Groups(), hal.P256) {
		t.Fatal("an HSM without P-256")
	}
	for name, g := range map[string]hal.Group{"P256": hal.P256, "Ristretto255": hal.Ristretto255, "unknown": 3, "zero": 0} {
		if !slices.Contains(m.Groups(), g) {
			t.Run(name+" refused", func(t *testing.T) { noGroup(t, m, g) })
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Run("wrapped keys", func(t *testing.T) { wrappedKeys(t, m, g) })
			t.Run("named keys", func(t *testing.T) { namedKeys(t, m, g) })
			t.Run("bad points", func(t *testing.T) { badPoints(t, m, g) })
			t.Run("bad wrapped keys", func(t *testing.T) { badWrapped(t, m, g) })
		})
	}
	t.Run("seal", func(t *testing.T) { sealing(t, m) })
	t.Run("signing keys", func(t *testing.T) { signing(t, m) })
	t.Run("epochs", func(t *testing.T) { epochs(t, m) })
	t.Run("memory", func(t *testing.T) { durableMemory(t, m) })
	t.Run("memory taken", func(t *testing.T) { taken(t, m) })
	t.Run("random", func(t *testing.T) { random(t, m) })
	t.Run("many at once", func(t *testing.T) { manyAtOnce(t, m) })
	t.Run("gone", func(t *testing.T) { gone(t, m) })
}

// wrappedBytesMax is wire.WrappedBytesMax: vault/hal promises it.
const wrappedBytesMax = 512

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// algebra is an implementation of a group that providers do not use: for P-256
// the standard library's old affine arithmetic, on affine coordinates.
type algebra struct {
	generator func() []byte
	random    func(t *testing.T) []byte
	add       func(a, b []byte) []byte
}

func algebraOf(g hal.Group) algebra {
	if g == hal.Ristretto255 {
		return ristrettoAlgebra()
	}
	curve := elliptic.P256()
	return algebra{
		generator: func() []byte { return elliptic.MarshalCompressed(curve, curve.Params().Gx, curve.Params().Gy) },
		random: func(t *testing.T) []byte {
			_, x, y, err := elliptic.GenerateKey(curve, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return elliptic.MarshalCompressed(curve, x, y)
		},
		add: func(a, b []byte) []byte {
			ax, ay := elliptic.UnmarshalCompressed(curve, a)
			bx, by := elliptic.UnmarshalCompressed(curve, b)
			x, y := curve.Add(ax, ay, bx, by)
			return elliptic.MarshalCompressed(curve, x, y)
		},
	}
}

// ristrettoAlgebra is circl's, which shares no code with gtank/ristretto255.
func ristrettoAlgebra() algebra {
	g := group.Ristretto255
	bytesOf := func(e group.Element) []byte {
		b, err := e.MarshalBinary()
		if err != nil {
			panic(err) // of the test's own arithmetic
		}
		return b
	}
	elementOf := func(b []byte) group.Element {
		e := g.NewElement()
		if err := e.UnmarshalBinary(b); err != nil {
			panic(fmt.Sprintf("the HSM gave %x: %v", b, err))
		}
		return e
	}
	return algebra{
		generator: func() []byte { return bytesOf(g.Generator()) },
		random:    func(*testing.T) []byte { return bytesOf(g.RandomElement(rand.Reader)) },
		add:       func(a, b []byte) []byte { return bytesOf(g.NewElement().Add(elementOf(a), elementOf(b))) },
	}
}

// linear checks k(A+B) = kA + kB on random points, and that the public
// element is kG: together they fix the multiplication to one scalar.
func linear(t *testing.T, g hal.Group, public []byte, multiply func([]byte) ([]byte, error)) {
	t.Helper()
	a := algebraOf(g)
	if got := must(multiply(a.generator()))(t); !bytes.Equal(got, public) {
		t.Fatal("k times the generator is not the public element")
	}
	for range 20 {
		p, q := a.random(t), a.random(t)
		whole := must(multiply(a.add(p, q)))(t)
		parts := a.add(must(multiply(p))(t), must(multiply(q))(t))
		if !bytes.Equal(whole, parts) {
			t.Fatal("k(A+B) is not kA + kB")
		}
	}
}

func noGroup(t *testing.T, m Maker, g hal.Group) {
	h := m.New(t)
	if _, _, err := h.MakeOPRFKey(g); !errors.Is(err, hal.ErrGroup) {
		t.Errorf("a wrapped key: %v", err)
	}
	if _, err := h.MakeKey("ake", g); !errors.Is(err, hal.ErrGroup) {
		t.Errorf("a named key: %v", err)
	}
	if _, err := h.PublicKey("ake"); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("a refused key is there: %v", err)
	}
}

func wrappedKeys(t *testing.T, m Maker, g hal.Group) {
	h := m.New(t)
	wrapped, public, err := h.MakeOPRFKey(g)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrapped) > wrappedBytesMax {
		t.Fatalf("a wrapped key of %d bytes", len(wrapped))
	}
	again, otherPublic, err := h.MakeOPRFKey(g)
	if err != nil || bytes.Equal(wrapped, again) || bytes.Equal(public, otherPublic) {
		t.Fatalf("two keys are one: %v", err)
	}
	check := func(h hal.HAL) {
		linear(t, g, public, func(p []byte) ([]byte, error) { return h.MultiplyWrapped(g, wrapped, p) })
	}
	check(h)
	check(m.Reopen(t, h))
}

func namedKeys(t *testing.T, m Maker, g hal.Group) {
	h := m.New(t)
	public := must(h.MakeKey("ake", g))(t)
	if _, err := h.MakeKey("ake", g); !errors.Is(err, hal.ErrKeyExists) {
		t.Fatalf("a second key of the same name: %v", err)
	}
	if _, err := h.Multiply("other", public); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("no such key: %v", err)
	}
	if _, err := h.PublicKey("other"); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("no such public key: %v", err)
	}
	check := func(h hal.HAL) {
		if !bytes.Equal(must(h.PublicKey("ake"))(t), public) {
			t.Fatal("another public key")
		}
		linear(t, g, public, func(p []byte) ([]byte, error) { return h.Multiply("ake", p) })
		xAlone(t, h, g)
	}
	check(h)
	check(m.Reopen(t, h))
}

// xAlone: MultiplyX is Multiply's product without its sign of y.
func xAlone(t *testing.T, h hal.HAL, g hal.Group) {
	t.Helper()
	for range 8 {
		p := algebraOf(g).random(t)
		x, err := h.MultiplyX("ake", p)
		if g != hal.P256 {
			if !errors.Is(err, hal.ErrGroup) {
				t.Fatalf("the x of an element that has none: %x, %v", x, err)
			}
			continue
		}
		if whole := must(h.Multiply("ake", p))(t); err != nil || !bytes.Equal(x, whole[1:]) {
			t.Fatalf("the x of %x: %x, %v", whole, x, err)
		}
	}
	if _, err := h.MultiplyX("other", algebraOf(g).random(t)); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("no such key: %v", err)
	}
}

// notElements are encodings that must be refused.
func notElements(t *testing.T, g hal.Group) map[string][]byte {
	good := algebraOf(g).random(t)
	bad := map[string][]byte{
		"empty": {}, "nil": nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0),
		"all ones": bytes.Repeat([]byte{0xff}, len(good)),
		"zero":     make([]byte, len(good)),
		"infinity": {0},
	}
	if g == hal.P256 {
		curve := elliptic.P256()
		x, y := elliptic.UnmarshalCompressed(curve, good)
		bad["uncompressed"] = elliptic.Marshal(curve, x, y) //nolint:staticcheck // a form to refuse
		off := bytes.Clone(good)
		for { // the next x that is on no point
			next := new(big.Int).Add(new(big.Int).SetBytes(off[1:]), big.NewInt(1))
			next.FillBytes(off[1:])
			if px, _ := elliptic.UnmarshalCompressed(curve, off); px == nil {
				break
			}
		}
		bad["off the curve"] = off
		over := append([]byte{2}, curve.Params().P.FillBytes(make([]byte, 32))...)
		bad["x not below p"] = over
		hybrid := bytes.Clone(good)
		hybrid[0] = 6
		bad["hybrid form"] = hybrid
	} else {
		negative := bytes.Clone(good)
		negative[0] ^= 1
		bad["negative"] = negative
	}
	published := badElements(t, g)
	for name, point := range published {
		bad[name] = point
	}
	return bad
}

// badElements are those of spec/vectors that are no element of g, by the
// failure that each names.
func badElements(t *testing.T, g hal.Group) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../../spec/vectors/bad-elements.json") // from hsm/x
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Suite, Failure, Element string }
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	suite := map[hal.Group]string{hal.P256: "P256-SHA256", hal.Ristretto255: "ristretto255-SHA512"}[g]
	bad := map[string][]byte{}
	for _, v := range vectors {
		if v.Suite == suite {
			bad[v.Failure] = must(hex.DecodeString(v.Element))(t)
		}
	}
	if len(bad) < 14 {
		t.Fatalf("only %d bad elements of %s", len(bad), suite)
	}
	return bad
}

func badPoints(t *testing.T, m Maker, g hal.Group) {
	h := m.New(t)
	wrapped, _, err := h.MakeOPRFKey(g)
	if err != nil {
		t.Fatal(err)
	}
	must(h.MakeKey("ake", g))(t)
	for name, p := range notElements(t, g) {
		if _, err := h.MultiplyWrapped(g, wrapped, p); !errors.Is(err, hal.ErrPoint) {
			t.Errorf("%s, wrapped key: %v", name, err)
		}
		if _, err := h.Multiply("ake", p); !errors.Is(err, hal.ErrPoint) {
			t.Errorf("%s, named key: %v", name, err)
		}
		if _, err := h.MultiplyX("ake", p); !errors.Is(err, hal.ErrPoint) {
			t.Errorf("%s, named key's x: %v", name, err)
		}
	}
}

func badWrapped(t *testing.T, m Maker, g hal.Group) {
	h, stranger := m.New(t), m.New(t)
	point := algebraOf(g).random(t)
	wrapped, _, err := h.MakeOPRFKey(g)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(name string, h hal.HAL, g hal.Group, w []byte) {
		t.Helper()
		if _, err := h.MultiplyWrapped(g, w, point); !errors.Is(err, hal.ErrWrapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another HSM's", stranger, g, wrapped)
	refuse("empty", h, g, nil)
	refuse("cut", h, g, wrapped[:len(wrapped)-1])
	refuse("longer", h, g, append(bytes.Clone(wrapped), 0))
	refuse("of the other group", h, hal.P256+hal.Ristretto255-g, wrapped)
	for i := range wrapped {
		flipped := bytes.Clone(wrapped)
		flipped[i] ^= 1
		refuse("flipped", h, g, flipped)
	}
}

func sealing(t *testing.T, m Maker) {
	h, stranger := m.New(t), m.New(t)
	aad, plain := []byte("place"), []byte("plaintext")
	sealed := must(h.Seal(aad, plain))(t)
	if bytes.Contains(sealed, plain) || bytes.Equal(sealed, must(h.Seal(aad, plain))(t)) {
		t.Fatal("not sealed, or twice the same")
	}
	h = m.Reopen(t, h)
	if got := must(h.Open(aad, sealed))(t); !bytes.Equal(got, plain) {
		t.Fatal("opened to something else")
	}
	if got := must(h.Open(nil, must(h.Seal(nil, nil))(t)))(t); len(got) != 0 {
		t.Fatal("empty plaintext")
	}
	refuse := func(name string, h hal.HAL, aad, sealed []byte) {
		t.Helper()
		if _, err := h.Open(aad, sealed); !errors.Is(err, hal.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another HSM", stranger, aad, sealed)
	refuse("another place", h, []byte("elsewhere"), sealed)
	refuse("empty", h, aad, nil)
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		refuse("flipped", h, aad, flipped)
	}
}

func random(t *testing.T, m Maker) {
	h := m.New(t)
	seen := map[[16]byte]bool{}
	for range 100 {
		var p [16]byte
		if err := h.Random(p[:]); err != nil || seen[p] {
			t.Fatalf("twice the same, or %v", err)
		}
		seen[p] = true
	}
}

func manyAtOnce(t *testing.T, m Maker) {
	h := m.New(t)
	wrapped, _, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	point := algebraOf(hal.P256).random(t)
	want := must(h.MultiplyWrapped(hal.P256, wrapped, point))(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 20 {
				got, err := h.MultiplyWrapped(hal.P256, wrapped, point)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("multiply: %v", err)
				}
				if err := h.WriteMemory([]byte{byte(i)}); err != nil {
					t.Errorf("memory: %v", err)
				}
				if got, err := h.ReadMemory(); err != nil || len(got) != 1 {
					t.Errorf("memory: %v", err)
				}
			}
		})
	}
	all.Wait()
}

func gone(t *testing.T, m Maker) {
	h := m.New(t)
	wrapped, public, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	must(h.MakeKey("ake", hal.P256))(t)
	sealed := must(h.Seal(nil, []byte("x")))(t)
	must(h.MakeSigningKey("sign"))(t)
	if err := h.MakeEpochKey(1); err != nil {
		t.Fatal(err)
	}
	sealedEpoch := must(h.SealEpoch(1, nil, []byte("x")))(t)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	_, e1 := h.MultiplyWrapped(hal.P256, wrapped, public)
	_, e2 := h.Multiply("ake", public)
	_, e3 := h.Seal(nil, nil)
	_, e4 := h.Open(nil, sealed)
	_, e5 := h.ReadMemory()
	e6 := h.WriteMemory(nil)
	_, _, e7 := h.MakeOPRFKey(hal.P256)
	_, e8 := h.MakeKey("later", hal.P256)
	_, e9 := h.PublicKey("ake")
	e10 := h.MakeEpochKey(2)
	_, e11 := h.SealEpoch(1, nil, nil)
	_, e12 := h.OpenEpoch(1, nil, sealedEpoch)
	e13 := h.DestroyEpochKey(1)
	_, e14 := h.EpochKeys()
	_, e15 := h.MakeSigningKey("later")
	_, e16 := h.Sign("sign", [32]byte{})
	_, e17 := h.MultiplyX("ake", public)
	if err := h.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15, e16, e17} {
		if !errors.Is(err, hal.ErrGone) {
			t.Errorf("call %d after Close: %v", i+1, err)
		}
	}
}
