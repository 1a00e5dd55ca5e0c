package vault_test

import (
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// TestWaitsInTheBox: the sixth attempt is refused until its time, charges
// nothing, costs the HSM nothing and writes nothing; restarts and a host's
// clock that goes back change nothing.
func TestWaitsInTheBox(t *testing.T) {
	const minute = 60_000
	r := newRigUnder(t, opaque.P256SHA256, bundle.Policy{
		Attempts: 10, TicketMillis: 120_000, WaitsMillis: []uint64{0, 0, 0, 0, 0, minute, 10 * minute},
	})
	r.register(alice, right, "K1")
	before := r.hal.Evaluations()
	for range 4 {
		r.recover(alice, "wrong password")
	}
	open := r.attempt(alice, right)
	a, _, _ := r.recoverStart(open)
	debited, entries := r.now, len(r.Written)
	refused := func(at uint64) {
		t.Helper()
		r.now = at
		must(t, r.start())
		held := r.attempt(alice, right)
		b, _, code := r.recoverStart(held)
		if code != wire.CodeWait || b.Status.WaitUntilMillis != debited+minute || b.Status.Left != 5 || b.Status.Slot != open.slot {
			t.Fatalf("at %d: %q %+v", at, code, b.Status)
		}
	}
	refused(debited)
	refused(debited + minute - 1)
	refused(debited - 100*minute)
	if len(r.Written) != entries || r.hal.Evaluations() != before+5 {
		t.Fatalf("a refusal wrote %d entries; %d evaluations", len(r.Written)-entries, r.hal.Evaluations()-before)
	}
	b, _, code := r.recoverStart(open) // its answer was lost, say
	if code != "" || string(b.RecoverStart.KE2) != string(a.RecoverStart.KE2) {
		t.Fatalf("the retry of the fifth: %q", code)
	}
	r.now = debited + minute
	if s := r.status(alice); s.WaitUntilMillis != 0 {
		t.Fatalf("%+v", s)
	}
	if k, code := r.recover(alice, right); k != "sealed:K1" {
		t.Fatalf("after the wait: %q %q", k, code)
	}
	if k, code := r.recover(alice, right); k != "sealed:K1" {
		t.Fatalf("after a success nothing waits: %q %q", k, code)
	}
}
