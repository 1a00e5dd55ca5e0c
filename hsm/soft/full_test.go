package soft

import (
	"errors"
	"strings"
	"testing"

	"strongroom/vault/hal"
)

// A key that does not fit is refused, and the others stay.
func TestFull(t *testing.T) {
	h := maker{}.New(t)
	if _, err := h.MakeKey("ake", hal.P256); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("a", keysFileBytesMax)
	if _, err := h.MakeKey(big, hal.P256); !errors.Is(err, hal.ErrFull) {
		t.Fatal(err)
	}
	if _, err := h.PublicKey(big); !errors.Is(err, hal.ErrNoKey) {
		t.Fatal(err)
	}
	if _, err := (maker{}).Reopen(t, h).PublicKey("ake"); err != nil {
		t.Fatal(err)
	}
}
