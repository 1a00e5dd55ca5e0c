package hsmtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"strongroom/vault/hal"
)

// verifies asks the standard library's ECDSA, which no provider's public half
// comes from.
func verifies(public []byte, digest [32]byte, signature []byte) bool {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), public)
	if x == nil || len(public) != 33 || len(signature) != 64 {
		return false
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func signing(t *testing.T, m Maker) {
	h := m.New(t)
	public := must(h.MakeSigningKey("box"))(t)
	other := must(h.MakeSigningKey("other"))(t)
	point := must(h.MakeKey("ake", hal.P256))(t)
	if bytes.Equal(public, other) {
		t.Fatal("two keys are one")
	}
	check := func(h hal.HAL) {
		t.Helper()
		if !bytes.Equal(must(h.PublicKey("box"))(t), public) {
			t.Fatal("another public key")
		}
		for i := range 20 { // r and s begin with a zero once in 128 times: their length must not
			digest := sha256.Sum256([]byte{byte(i)})
			signature := must(h.Sign("box", digest))(t)
			if !verifies(public, digest, signature) {
				t.Fatal("a signature that does not verify")
			}
			if digest[31] ^= 1; verifies(public, digest, signature) || verifies(other, sha256.Sum256([]byte{byte(i)}), signature) {
				t.Fatal("a signature for anything")
			}
		}
	}
	check(h)
	h = m.Reopen(t, h)
	check(h)
	// A key has one use, and a name one key.
	if _, err := h.Sign("ake", [32]byte{}); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("signed with a key for multiplying: %v", err)
	}
	if _, err := h.Sign("none", [32]byte{}); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("no such key: %v", err)
	}
	if _, err := h.MultiplyX("box", point); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("x by a signing key: %v", err)
	}
	if _, err := h.Multiply("box", point); !errors.Is(err, hal.ErrNoKey) {
		t.Errorf("multiplied by a signing key: %v", err)
	}
	for _, name := range []string{"box", "ake"} {
		if _, err := h.MakeSigningKey(name); !errors.Is(err, hal.ErrKeyExists) {
			t.Errorf("a second %q that signs: %v", name, err)
		}
		if _, err := h.MakeKey(name, hal.P256); !errors.Is(err, hal.ErrKeyExists) {
			t.Errorf("a second %q that multiplies: %v", name, err)
		}
	}
}
