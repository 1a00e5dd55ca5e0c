package channel

import (
	"bytes"
	"errors"
	"testing"
)

// sessions are the two ends of one direction.
func sessions(t *testing.T, info string) (speaks, hears *PeerSession) {
	t.Helper()
	offer, public, err := NewPeerOffer()
	if err != nil {
		t.Fatal(err)
	}
	speaks, enc, err := Speak(public, []byte(info))
	if err != nil {
		t.Fatal(err)
	}
	if hears, err = offer.Hear(enc, []byte(info)); err != nil {
		t.Fatal(err)
	}
	return speaks, hears
}

func TestPeerSession(t *testing.T) {
	speaks, hears := sessions(t, "a to b")
	var sealed [][]byte
	for i := range 5 {
		sealed = append(sealed, speaks.Seal(bytes.Repeat([]byte{byte(i)}, i)))
	}
	// Lost ones do not matter, and what was said is not said again.
	for _, i := range []int{0, 2, 4} {
		if p, err := hears.Open(sealed[i]); err != nil || len(p) != i {
			t.Fatal(i, p, err)
		}
	}
	for i, s := range sealed {
		if _, err := hears.Open(s); !errors.Is(err, ErrOpen) {
			t.Errorf("message %d again, or late: %v", i, err)
		}
	}
}

func TestPeerSessionRefuses(t *testing.T) {
	speaks, hears := sessions(t, "a to b")
	other, _ := sessions(t, "a to b")
	if _, err := hears.Open(other.Seal([]byte("x"))); !errors.Is(err, ErrSession) {
		t.Errorf("another session: %v", err)
	}
	sealed := speaks.Seal([]byte("a debit"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		// Version and kind stand in the associated data.
		if _, err := hears.Open(bad); err == nil {
			t.Fatalf("byte %d flipped: opened", i)
		}
		if _, err := hears.Open(sealed[:i]); err == nil {
			t.Fatalf("cut at %d: opened", i)
		}
	}
	if p, err := hears.Open(sealed); err != nil || string(p) != "a debit" {
		t.Fatal(p, err)
	}
}

// Who answers an offer for somebody else, or another offer, is not heard.
func TestPeerHandshakeIsBound(t *testing.T) {
	offer, public, err := NewPeerOffer()
	if err != nil {
		t.Fatal(err)
	}
	speaks, enc, err := Speak(public, []byte("a to b"))
	if err != nil {
		t.Fatal(err)
	}
	for name, hear := range map[string]func() (*PeerSession, error){
		"another info": func() (*PeerSession, error) { return offer.Hear(enc, []byte("c to b")) },
		"another offer": func() (*PeerSession, error) {
			o, _, err := NewPeerOffer()
			if err != nil {
				return nil, err
			}
			return o.Hear(enc, []byte("a to b"))
		},
		"a changed enc": func() (*PeerSession, error) {
			bad := bytes.Clone(enc)
			bad[0] ^= 1
			return offer.Hear(bad, []byte("a to b"))
		},
	} {
		s, err := hear()
		if err != nil {
			continue
		}
		if _, err := s.Open(speaks.Seal([]byte("x"))); err == nil {
			t.Errorf("%s: heard", name)
		}
	}
	if _, _, err := Speak(public[1:], nil); !errors.Is(err, ErrKey) {
		t.Errorf("a short key: %v", err)
	}
}
