package cell

import (
	"errors"
	"testing"
	"time"

	"strongroom/hsm/soft"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// The HSM of a box that was just killed is locked until the kernel is done
// with it: the next box waits.
func TestOpenWaitsForTheLock(t *testing.T) {
	place := t.TempDir()
	before, err := soft.Create(place, []byte("passphrase"), soft.Cheap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := soft.Open(place, []byte("passphrase")); !errors.Is(err, soft.ErrLocked) {
		t.Fatalf("it is not locked: %v", err)
	}
	time.AfterFunc(10*lockedLook, func() { before.Close() })
	h, err := Open(wire.HSM{Provider: "soft", Place: place, Secret: wire.Secret("passphrase")})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

func TestOpenRefuses(t *testing.T) {
	place := t.TempDir()
	h, err := soft.Create(place, []byte("passphrase"), soft.Cheap)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	for _, c := range []struct {
		settings wire.HSM
		want     error
	}{
		{wire.HSM{Provider: "hard", Place: place}, ErrProvider},
		{wire.HSM{Provider: "soft", Place: place, Secret: wire.Secret("another")}, hal.ErrSecret},
		{wire.HSM{Provider: "soft", Place: t.TempDir(), Secret: wire.Secret("passphrase")}, soft.ErrMissing},
	} {
		if _, err := Open(c.settings); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.settings.Provider, err)
		}
	}
}
