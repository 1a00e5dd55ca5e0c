package channel

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom/protocol/wire"
)

func alertPair(t testing.TB) (*AlertSender, hpke.PrivateKey) {
	t.Helper()
	key := newKey(t, hpke.MLKEM768P256())
	s, err := NewAlertSender(key.PublicKey(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	return s, key
}

// Each message opens by itself, in any order, also from several boxes.
func TestAlerts(t *testing.T) {
	a, key := alertPair(t)
	b, err := NewAlertSender(key.PublicKey(), fleet)
	if err != nil {
		t.Fatal(err)
	}
	var sealed [][]byte
	for i, s := range []*AlertSender{a, b, a, b} {
		one, err := s.Seal(rand.Reader, []byte{byte(i)}, 208)
		if err != nil || i > 0 && len(one) != len(sealed[0]) {
			t.Fatal(len(one), err)
		}
		sealed = append(sealed, one)
	}
	r := NewAlertReader(key, fleet)
	for _, i := range []int{3, 0, 0, 2, 1} {
		plain, err := r.Open(sealed[i])
		if err != nil || !bytes.Equal(plain, []byte{byte(i)}) {
			t.Fatalf("message %d: %x, %v", i, plain, err)
		}
	}
	if again, _ := a.Seal(rand.Reader, []byte{0}, 208); bytes.Equal(again, sealed[0]) {
		t.Fatal("two messages under one salt")
	}
}

// Every flipped byte, every cut, another fleet, another key and another kind
// of frame are refused by name.
func TestAlertsRefused(t *testing.T) {
	s, key := alertPair(t)
	sealed, err := s.Seal(rand.Reader, []byte("alerts"), 208)
	if err != nil {
		t.Fatal(err)
	}
	step := 1
	if raceEnabled {
		step = 53
	}
	r := NewAlertReader(key, fleet)
	for i := 0; i < len(sealed); i += step {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << (i % 8)
		if _, err := r.Open(bad); !refused(err) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := r.Open(sealed[:i]); !refused(err) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := NewAlertReader(key, wire.FleetID{9}).Open(sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("another fleet: %v", err)
	}
	if _, err := NewAlertReader(newKey(t, hpke.MLKEM768P256()), fleet).Open(sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: %v", err)
	}
	first, _, err := SealFirst(key.PublicKey(), fleet, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(first); !errors.Is(err, ErrKind) {
		t.Errorf("a request: %v", err)
	}
	if _, _, err := OpenFirst(key, fleet, sealed); !errors.Is(err, ErrKind) {
		t.Errorf("an alert as a request: %v", err)
	}
	if _, err := s.Seal(rand.Reader, make([]byte, 207), 208); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	if _, err := NewAlertSender(newKey(t, hpke.MLKEM768()).PublicKey(), fleet); !errors.Is(err, ErrKey) {
		t.Errorf("a KEM that is none of ours: %v", err)
	}
}

// The longest alerts that wire takes fit into what is sealed, and what is
// sealed into wire's limit.
func TestLongestAlerts(t *testing.T) {
	s, _ := alertPair(t)
	one := wire.Alert{
		Account: string(bytes.Repeat([]byte("a"), wire.AccountBytesMax)), Kind: wire.EventDestroyed, Number: 1 << 63, AtMillis: 1 << 63,
		State: wire.StateDeleted, Left: 255, Limit: 255, DueMillis: 1 << 63,
	}
	all := wire.Alerts{Version: wire.Version}
	for n := 1; n <= wire.AlertsMax; n++ {
		all.Alerts = append(all.Alerts, one)
		plain, err := wire.Encode(all)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := s.Seal(rand.Reader, plain, wire.AlertsBytes(n))
		if err != nil || len(sealed) > wire.AlertBytesMax {
			t.Fatalf("%d alerts: %d bytes, %v", n, len(sealed), err)
		}
	}
	all.Alerts = append(all.Alerts, one)
	if _, err := wire.Encode(all); !errors.Is(err, wire.ErrMalformed) {
		t.Fatalf("one too many: %v", err)
	}
}
