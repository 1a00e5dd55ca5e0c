package hsmtest

import (
	"bytes"
	"crypto/rand"
	"errors"
	seeded "math/rand/v2"
	"testing"

	"strongroom/vault/hal"
)

type memoryMaker struct{}

func (memoryMaker) Groups() []hal.Group { return []hal.Group{hal.P256} }

func (memoryMaker) New(*testing.T) hal.HAL { return NewMemory(NewKeys(rand.Reader), rand.Reader) }

func (memoryMaker) Reopen(_ *testing.T, h hal.HAL) hal.HAL {
	again := h.(*Memory).Again()
	_ = h.Close()
	return again
}

func (memoryMaker) Rival(_ *testing.T, h hal.HAL) hal.HAL { return h.(*Memory).Again() }

func (m memoryMaker) PutBack(t *testing.T, h hal.HAL, change func(hal.HAL)) hal.HAL {
	change(h)
	return m.Reopen(t, h)
}

func (memoryMaker) Judge(_ *testing.T, h hal.HAL, judge func() Fault) { h.(*Memory).Judge(judge) }

func (memoryMaker) Break(*testing.T, hal.HAL) {}

func (m memoryMaker) Mend(t *testing.T, h hal.HAL) hal.HAL { return m.Reopen(t, h) }

func (memoryMaker) NoWindow() {}

func TestMemory(t *testing.T) { Run(t, memoryMaker{}) }

func TestMemoryFaults(t *testing.T) { RunFaults(t, memoryMaker{}) }

// TestMemoryShares: what a ceremony moves is one in all HSMs of an island, and
// counted together; the rest is each one's own.
func TestMemoryShares(t *testing.T) {
	keys := NewKeys(rand.Reader)
	a, b := NewMemory(keys, rand.Reader), NewMemory(keys, rand.Reader)
	public := must(a.MakeKey("ake", hal.P256))(t)
	if !bytes.Equal(must(b.PublicKey("ake"))(t), public) {
		t.Fatal("another AKE key")
	}
	if _, err := b.MakeKey("ake", hal.P256); !errors.Is(err, hal.ErrKeyExists) {
		t.Fatal(err)
	}
	if bytes.Equal(must(a.MakeSigningKey("box"))(t), must(b.MakeSigningKey("box"))(t)) {
		t.Fatal("two boxes with one identity")
	}
	wrapped, public, err := a.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	heard := 0
	keys.Evaluated = func(Evaluation) { heard++ }
	for range 2 {
		if !bytes.Equal(must(a.MultiplyWrapped(hal.P256, wrapped, public))(t), must(b.MultiplyWrapped(hal.P256, wrapped, public))(t)) {
			t.Fatal("two products")
		}
	}
	if keys.Evaluations() != 1 || heard != 4 {
		t.Fatalf("%d evaluations, heard of %d", keys.Evaluations(), heard)
	}
	if got := must(b.Open(nil, must(a.Seal(nil, []byte("x")))(t)))(t); string(got) != "x" {
		t.Fatal("Seal is not shared")
	}
	if err := a.MakeEpochKey(1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SealEpoch(1, nil, nil); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("epoch keys are shared: %v", err)
	}
}

// TestMemoryRestores: a snapshot is put back whole, and under the holder.
func TestMemoryRestores(t *testing.T) {
	m := memoryMaker{}.New(t).(*Memory)
	if err := errors.Join(m.MakeEpochKey(1), m.WriteMemory([]byte("old"))); err != nil {
		t.Fatal(err)
	}
	sealed, old := must(m.SealEpoch(1, nil, []byte("x")))(t), m.Snapshot()
	if err := errors.Join(m.DestroyEpochKey(1), m.MakeEpochKey(2), m.WriteMemory([]byte("new"))); err != nil {
		t.Fatal(err)
	}
	m.Restore(old)
	if got := must(m.ReadMemory())(t); string(got) != "old" {
		t.Fatalf("%q", got)
	}
	if got := must(m.OpenEpoch(1, nil, sealed))(t); string(got) != "x" {
		t.Fatal("the old epoch's key is not back")
	}
	if err := m.WriteMemory(nil); !errors.Is(err, hal.ErrTaken) {
		t.Fatalf("put back under its holder: %v", err)
	}
	m = m.Again()
	if err := m.WriteMemory([]byte("newer")); err != nil {
		t.Fatal(err)
	}
}

// TestMemoryRepeats: with one seed, all is the same again.
func TestMemoryRepeats(t *testing.T) {
	run := func() []byte {
		random := seeded.NewChaCha8([32]byte{1})
		m := NewMemory(NewKeys(random), random)
		wrapped, public, err := m.MakeOPRFKey(hal.P256)
		if err != nil {
			t.Fatal(err)
		}
		must(m.MakeSigningKey("box"))(t)
		return bytes.Join([][]byte{wrapped, public, must(m.Sign("box", [32]byte{1}))(t), must(m.Seal(nil, nil))(t)}, nil)
	}
	if !bytes.Equal(run(), run()) {
		t.Fatal("two runs of one seed differ")
	}
}
