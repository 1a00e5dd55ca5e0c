//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"

	"filippo.io/nistec"

	"strongroom/vault/hal"
)

// randomPoint is a compressed element.
func randomPoint(t testing.TB) []byte {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p, err := nistec.NewP256Point().SetBytes(k.PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p.BytesCompressed()
}

// What each call costs, SoftHSM2 and its locks included. -cpu 1,2 shows what
// more sessions give.
func bench(b *testing.B, call func(*HSM) func() error) {
	store(b)
	h, _ := made(b, "bench")
	once := call(h)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := once(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkMultiplyWrapped(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		wrapped, _, err := h.MakeOPRFKey(hal.P256)
		if err != nil {
			b.Fatal(err)
		}
		point := randomPoint(b)
		return func() error { _, err := h.MultiplyWrapped(hal.P256, wrapped, point); return err }
	})
}

func BenchmarkMakeOPRFKey(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		return func() error { _, _, err := h.MakeOPRFKey(hal.P256); return err }
	})
}

func BenchmarkMultiply(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		if _, err := h.MakeKey("ake", hal.P256); err != nil {
			b.Fatal(err)
		}
		point := randomPoint(b)
		return func() error { _, err := h.Multiply("ake", point); return err }
	})
}

func BenchmarkSeal(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		return func() error { _, err := h.Seal([]byte("place"), make([]byte, 600)); return err }
	})
}

func BenchmarkOpen(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		sealed, err := h.Seal([]byte("place"), make([]byte, 600))
		if err != nil {
			b.Fatal(err)
		}
		return func() error { _, err := h.Open([]byte("place"), sealed); return err }
	})
}

func BenchmarkWriteMemory(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		return func() error { return h.WriteMemory(make([]byte, 57)) }
	})
}

func BenchmarkReadMemory(b *testing.B) {
	bench(b, func(h *HSM) func() error {
		if err := h.WriteMemory(make([]byte, 57)); err != nil {
			b.Fatal(err)
		}
		return func() error { _, err := h.ReadMemory(); return err }
	})
}
