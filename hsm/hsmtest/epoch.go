package hsmtest

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"strongroom/vault/hal"
)

func epochs(t *testing.T, m Maker) {
	t.Run("keys", func(t *testing.T) { epochKeys(t, m) })
	t.Run("seal", func(t *testing.T) { epochSealing(t, m) })
	t.Run("destroyed is gone", func(t *testing.T) { destroyed(t, m) })
}

// epochKeys come and go, and are found again.
func epochKeys(t *testing.T, m Maker) {
	h := m.New(t)
	want := []uint64{}
	check := func(h hal.HAL) {
		t.Helper()
		if got := must(h.EpochKeys())(t); !slices.Equal(got, want) {
			t.Fatalf("epochs %d, want %d", got, want)
		}
	}
	check(h)
	if _, err := h.SealEpoch(7, nil, nil); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("no such epoch: %v", err)
	}
	for _, epoch := range []uint64{7, 1, math.MaxUint64, 0} { // hal.EpochKeysMin of them
		if err := h.MakeEpochKey(epoch); err != nil {
			t.Fatalf("epoch %d: %v", epoch, err)
		}
		if err := h.MakeEpochKey(epoch); !errors.Is(err, hal.ErrKeyExists) {
			t.Fatalf("epoch %d again: %v", epoch, err)
		}
	}
	want = []uint64{0, 1, 7, math.MaxUint64}
	check(h)
	h = m.Reopen(t, h)
	check(h)
	for range 2 { // the second time there is none, which is no error
		if err := h.DestroyEpochKey(7); err != nil {
			t.Fatal(err)
		}
	}
	want = []uint64{0, 1, math.MaxUint64}
	check(h)
	check(m.Reopen(t, h))
}

func epochSealing(t *testing.T, m Maker) {
	h, stranger := m.New(t), m.New(t)
	for _, make := range []func(uint64) error{h.MakeEpochKey, stranger.MakeEpochKey} {
		if err := errors.Join(make(1), make(2)); err != nil {
			t.Fatal(err)
		}
	}
	aad, plain := []byte("place"), bytes.Repeat([]byte("secret"), 6)
	sealed := must(h.SealEpoch(1, aad, plain))(t)
	if bytes.Contains(sealed, plain) || bytes.Equal(sealed, must(h.SealEpoch(1, aad, plain))(t)) {
		t.Fatal("not sealed, or twice the same")
	}
	h = m.Reopen(t, h)
	if got := must(h.OpenEpoch(1, aad, sealed))(t); !bytes.Equal(got, plain) {
		t.Fatal("opened to something else")
	}
	for _, n := range []int{0, hal.EpochPlaintextMax} {
		if got := must(h.OpenEpoch(2, nil, must(h.SealEpoch(2, nil, make([]byte, n)))(t)))(t); len(got) != n {
			t.Fatalf("%d bytes become %d", n, len(got))
		}
	}
	if _, err := h.SealEpoch(1, nil, make([]byte, hal.EpochPlaintextMax+1)); err == nil {
		t.Fatal("took more than it says")
	}
	refuse := func(name string, h hal.HAL, epoch uint64, aad, sealed []byte) {
		t.Helper()
		if _, err := h.OpenEpoch(epoch, aad, sealed); !errors.Is(err, hal.ErrSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refuse("another HSM", stranger, 1, aad, sealed)
	refuse("another epoch", h, 2, aad, sealed)
	refuse("another place", h, 1, []byte("elsewhere"), sealed)
	refuse("empty", h, 1, aad, nil)
	refuse("sealed for no epoch", h, 1, aad, must(h.Seal(aad, plain))(t))
	for i := range sealed {
		refuse("cut", h, 1, aad, sealed[:i])
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		refuse("flipped", h, 1, aad, flipped)
	}
	if _, err := h.Open(aad, sealed); !errors.Is(err, hal.ErrSealed) {
		t.Errorf("opens without its epoch: %v", err)
	}
}

// destroyed is P18 at the HSM: a thief copies the sealed value and all files
// beside the HSM, the epoch's key is destroyed, and then he takes the HSM.
func destroyed(t *testing.T, m Maker) {
	h := m.New(t)
	aad, plain := []byte("place"), []byte("the secret of epoch 5")
	if err := h.MakeEpochKey(5); err != nil {
		t.Fatal(err)
	}
	old := must(h.SealEpoch(5, aad, plain))(t)
	if got := must(h.OpenEpoch(5, aad, old))(t); !bytes.Equal(got, plain) {
		t.Fatal("it never opened: nothing would be shown")
	}
	gone := func(h hal.HAL, want error) {
		t.Helper()
		if _, err := h.OpenEpoch(5, aad, old); !errors.Is(err, want) {
			t.Fatalf("epoch 5 was destroyed: %v, want %v", err, want)
		}
	}
	h = m.PutBack(t, h, func(h hal.HAL) {
		if err := h.DestroyEpochKey(5); err != nil {
			t.Fatal(err)
		}
		gone(h, hal.ErrNoKey)
	})
	gone(h, hal.ErrNoKey)
	if _, err := h.SealEpoch(5, aad, plain); !errors.Is(err, hal.ErrNoKey) {
		t.Fatalf("a destroyed key seals: %v", err)
	}
	for _, epoch := range []uint64{6, 5} { // the next one, and one of the same name
		if err := h.MakeEpochKey(epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := h.OpenEpoch(6, aad, old); !errors.Is(err, hal.ErrSealed) {
			t.Fatalf("opens under epoch 6: %v", err)
		}
		h = m.Reopen(t, h)
	}
	gone(h, hal.ErrSealed)
	again := must(h.SealEpoch(5, aad, plain))(t)
	if got := must(h.OpenEpoch(5, aad, again))(t); !bytes.Equal(got, plain) {
		t.Fatal("the new key of epoch 5 does not work")
	}
}
