//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"errors"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

func TestMoving(t *testing.T) {
	shortTransfers(t)
	store(t)
	hsmtest.RunMover(t, &maker{})
}

// shortTransfers: a key of full length takes SoftHSM2 a second or two.
func shortTransfers(t *testing.T) {
	full := transferBits
	transferBits = 2048
	t.Cleanup(func() { transferBits = full })
}

// movable is a token in the middle of a ceremony.
func movable(t *testing.T, label string) *HSM {
	t.Helper()
	h, _ := made(t, label)
	if _, err := h.MakeSigningKey("box"); err != nil {
		t.Fatal(err)
	}
	if err := h.MakeMovable(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.MakeKey("ake", hal.P256); err != nil {
		t.Fatal(err)
	}
	if _, err := h.MakeSigningKey("status"); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestKeysStay asks the token itself, as a thief of the PIN would: before the
// lock all but the identity can be wrapped and taken, afterwards none, in
// either token, and nothing changes that back.
func TestKeysStay(t *testing.T) {
	shortTransfers(t)
	store(t)
	from := movable(t, "from")
	leave := func(h *HSM, want int) {
		t.Helper()
		err := h.use(func(s *session) error {
			carrier, err := s.generateKey(carrierKey(extractable, attribute(p11.CKA_VALUE_LEN, aesBytes)))
			if err != nil {
				return err
			}
			defer s.destroy(carrier)
			keys, left := 0, 0
			for _, class := range []uint{p11.CKO_SECRET_KEY, p11.CKO_PRIVATE_KEY} {
				found, err := s.findUpTo(movableMax, template{attribute(p11.CKA_CLASS, class), attribute(p11.CKA_TOKEN, true)})
				if err != nil {
					return err
				}
				for _, o := range found {
					keys++
					if _, err := s.wrap(WrapAESPad, carrier, o); err == nil {
						left++
						continue
					}
					for _, change := range []template{{extractable}, {attribute(p11.CKA_SENSITIVE, false)}} {
						if h.login.ctx.(*p11.Ctx).SetAttributeValue(s.handle, o, change) == nil {
							t.Error("a key was made to leave again")
						}
					}
					if _, err := s.ctx.CopyObject(s.handle, o, template{extractable, attribute(p11.CKA_TOKEN, false)}); err == nil {
						t.Error("a key was copied as one that leaves")
					}
				}
			}
			if keys < 8 || left != want {
				t.Errorf("%d of %d keys leave, want %d", left, keys, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	leave(from, 4) // wrap, mac, ake, status; not the identity nor the root keys
	to, _ := made(t, "to")
	if _, err := to.MakeSigningKey("box"); err != nil {
		t.Fatal(err)
	}
	public, err := to.MakeTransferKey()
	if err != nil {
		t.Fatal(err)
	}
	moved, err := from.Export(public, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Import(moved); err != nil {
		t.Fatal(err)
	}
	if err := from.Lock(); err != nil {
		t.Fatal(err)
	}
	leave(from, 0)
	leave(to, 0)
}

// TestInterruptedLock: the lock stopped between a copy and the destruction of
// what it is a copy of.
func TestInterruptedLock(t *testing.T) {
	store(t)
	h := movable(t, "interrupted")
	wrapped, point, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	want, err := h.MultiplyWrapped(hal.P256, wrapped, point)
	if err != nil {
		t.Fatal(err)
	}
	c := h.login.config
	err = h.use(func(s *session) error {
		for class, label := range map[uint]string{p11.CKO_PRIVATE_KEY: nameLabel("ake", false), p11.CKO_SECRET_KEY: islandWrapName} {
			o, err := s.single(class, label)
			if err != nil {
				return err
			}
			if _, err := s.ctx.CopyObject(s.handle, o, template{attribute(p11.CKA_EXTRACTABLE, false), attribute(p11.CKA_MODIFIABLE, false)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check := func(h *HSM) {
		t.Helper()
		got, err := h.MultiplyWrapped(hal.P256, wrapped, point)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("a wrapped key is lost: %v", err)
		}
		if _, err := h.Multiply("ake", point); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = opened(t, c)
	check(h)
	if err := h.Lock(); err != nil {
		t.Fatal(err)
	}
	check(h)
	if _, _, err := h.Copy(nil); !errors.Is(err, hal.ErrLocked) {
		t.Fatal(err)
	}
}
