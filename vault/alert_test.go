package vault_test

import (
	"bytes"
	"reflect"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// opened is what the operator reads, repeats left out, in the order in which
// it came.
func (r *rig) opened() (alerts []wire.Alert) {
	r.Helper()
	type name struct {
		account string
		number  uint64
	}
	had := map[name]wire.Alert{}
	for _, s := range r.alerts {
		if bytes.Contains(s.Sealed, []byte(alice)) {
			r.Fatal("the host reads an account's name")
		}
		plaintext, err := r.operator.Open(s.Sealed)
		must(r.TB, err)
		message, err := wire.DecodeAlerts(plaintext)
		must(r.TB, err)
		for _, a := range message.Alerts {
			n := name{a.Account, a.Number}
			if was, found := had[n]; found {
				if !reflect.DeepEqual(was, a) {
					r.Fatalf("told again as %+v, was %+v", a, was)
				}
				continue
			}
			had[n] = a
			alerts = append(alerts, a)
		}
	}
	return alerts
}

func kinds(alerts []wire.Alert) (kinds []wire.EventKind) {
	for _, a := range alerts {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

// Ten wrong attempts are ten alerts and one destruction, each with its time
// and what is left, of one length.
func TestAlertsOfADestruction(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	began := r.now
	for range 10 {
		r.now += 1000
		r.recover(alice, "wrong password")
	}
	r.now += 120_001
	r.turn()
	alerts := r.opened()
	if len(alerts) != 12 {
		t.Fatalf("%d alerts: %+v", len(alerts), alerts)
	}
	for i, a := range alerts {
		want := wire.Alert{
			Account: alice, Kind: wire.EventAttempts, Number: uint64(i) + 1, AtMillis: began + 1000*uint64(i),
			State: wire.StateLive, Left: uint8(10 - i), Limit: 10,
		}
		switch i {
		case 0:
			want.Kind = wire.EventRegistered
		case 10:
			want.State, want.DueMillis = wire.StateExhausted, want.AtMillis+120_000
		case 11:
			want.Kind, want.State, want.AtMillis, want.Left = wire.EventDestroyed, wire.StateDestroyed, r.now, 0
		}
		if a != want {
			t.Errorf("alert %d is %+v, want %+v", i, a, want)
		}
	}
	for _, s := range r.alerts {
		if len(s.Sealed) != len(r.alerts[0].Sealed) {
			t.Errorf("%d bytes beside %d", len(s.Sealed), len(r.alerts[0].Sealed))
		}
	}
}

// survive does something again until the box lived through it.
func (r *rig) survive(what func()) {
	r.Helper()
	for range 5 {
		if what(); !r.died {
			return
		}
		must(r.TB, r.start())
	}
	r.Fatal("the box dies for ever")
}

// Wherever the box and its host die, no alert is lost: what the host does not
// have comes again.
func TestNoAlertIsLost(t *testing.T) {
	deaths := 0
	for at := 1; ; at++ {
		r := newRigUnder(t, opaque.P256SHA256, bundle.Policy{Attempts: 10, TicketMillis: 120_000, ResetMillis: week})
		g := r.register(alice, right, "K1")
		r.dieAt = at
		for range 2 {
			r.stubborn(alice, "wrong password")
			if r.died {
				must(t, r.start())
			}
		}
		r.survive(func() {
			r.first(wire.First{Token: r.vaultToken(alice), Delete: &wire.Delete{Generation: g, Later: true}})
		})
		r.now += week + 120_001
		r.survive(func() { r.turn() })
		outlived := r.dieAt > 0
		r.dieAt = 0
		must(t, r.start())
		r.turn()
		want := []wire.EventKind{wire.EventRegistered, wire.EventAttempts, wire.EventAttempts, wire.EventDeletionAsked, wire.EventDeleted}
		got := r.opened()
		if !reflect.DeepEqual(kinds(got), want) {
			t.Fatalf("death at place %d: alerts %v, want %v", at, kinds(got), want)
		}
		for i, a := range got {
			if a.Number != uint64(i)+1 {
				t.Fatalf("death at place %d: alert %d has number %d", at, i, a.Number)
			}
		}
		if outlived {
			break
		}
		deaths++
		if at > 12 {
			at += 2
		}
	}
	if deaths < 15 {
		t.Fatalf("only %d deaths", deaths)
	}
}

// A host that knows nothing of its alerts any more gets at most what the log
// still holds, and the count of the rest.
func TestAlertsAreBounded(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	r.recover(alice, right)
	had := len(r.opened())
	r.alerts, r.alerted = nil, 0
	must(t, r.start())
	r.turn()
	if got := len(r.opened()); got != had {
		t.Fatalf("%d alerts came again of %d", got, had)
	}
	r.alerted = 1 << 40 // a lie: it loses what follows, at most
	r.recover(alice, "wrong password")
	if s := r.status(alice); s.Left != 9 {
		t.Fatalf("%+v", s)
	}
}

// A checkpoint takes the place of no entry whose alerts the host does not have
// yet: it could stop before it has them, and the log would be gone.
func TestNoCheckpointBeforeTheAlerts(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	r.saves()
	r.deaf = true
	r.recover(alice, "wrong password")
	before := r.Kept.Serial
	for range 3 {
		r.now += 61_000
		r.turn()
	}
	if r.Kept.Serial != before {
		t.Fatal("a checkpoint was kept")
	}
	had := len(r.opened())
	r.alerts = nil // it stopped before it had them
	must(t, r.start())
	r.deaf = false
	r.turn()
	if got := kinds(r.opened()); len(got) != 1 || got[0] != wire.EventAttempts || had != 3-1 {
		t.Fatalf("after a restart %v; before it %d", got, had)
	}
	r.now += 61_000
	r.turn()
	if r.Kept.Serial == before {
		t.Fatal("no checkpoint after the alerts were kept")
	}
}

// A fleet without an alert key tells nothing.
func TestNoAlertKey(t *testing.T) {
	r, _ := openFirstLight(t)
	r.recover("anna", "wrong password")
	if len(r.alerts) != 0 {
		t.Fatalf("%d alerts", len(r.alerts))
	}
}
