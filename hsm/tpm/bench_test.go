package tpm

import (
	"testing"

	"strongroom/vault/hal"
)

// What each call costs. A software TPM says what go-tpm, the sessions and the
// number of commands cost; a real one adds tens of milliseconds a command.
func BenchmarkCalls(b *testing.B) {
	e := newEmulator(b)
	h, err := Create(b.TempDir(), Options{Path: e.socket})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Close() })
	wrapped, point, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.MakeKey("ake", hal.P256); err != nil {
		b.Fatal(err)
	}
	sealed, err := h.Seal(nil, make([]byte, 500))
	if err != nil {
		b.Fatal(err)
	}
	random := make([]byte, 32)
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"MultiplyWrapped", func() error { _, err := h.MultiplyWrapped(hal.P256, wrapped, point); return err }},
		{"Multiply", func() error { _, err := h.Multiply("ake", point); return err }},
		{"MakeOPRFKey", func() error { _, _, err := h.MakeOPRFKey(hal.P256); return err }},
		{"Seal", func() error { _, err := h.Seal(nil, random); return err }},
		{"Open", func() error { _, err := h.Open(nil, sealed); return err }},
		{"Random", func() error { return h.Random(random) }},
		{"WriteAnchor", func() error { return h.WriteMemory(make([]byte, 57)) }},
		{"WriteMemory", func() error { return h.WriteMemory(make([]byte, hal.MemoryBytes)) }},
		{"ReadMemory", func() error { _, err := h.ReadMemory(); return err }},
		{"Reopen", func() (err error) { h = reopen(b, h, h.options); return nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
