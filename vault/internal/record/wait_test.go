package record

import (
	"reflect"
	"testing"

	"strongroom/protocol/wire"
)

// try debits the next slot at a time, under waits.
func try(t *testing.T, r Record, now uint64, want wire.Code) Record {
	t.Helper()
	p := policy
	p.WaitsMillis = waits
	before := r
	r, v := Debit{Generation: r.Generation, Slot: r.Slot + 1, KE1: ke1(int(r.Slot + 1)), NowMillis: now}.Apply(r, p)
	if v.Refused != want || v.Ticket.Valid() != (want == "") {
		t.Fatalf("at %d: %q, ticket %v, want %q", now, v.Refused, v.Ticket.Valid(), want)
	}
	if want != "" && !reflect.DeepEqual(r, before) {
		t.Fatalf("a refusal changed the record: %+v", r)
	}
	return r
}

func TestLaterAttemptsWait(t *testing.T) {
	p := policy
	p.WaitsMillis = waits
	r, now := registered(t), uint64(1000)
	for range 5 {
		r = try(t, r, now, "")
	}
	for n := 6; n <= 10; n++ {
		until := now + waits[n-1]
		if s := r.Status(p, now); s.WaitUntilMillis != until || s.State != wire.StateLive {
			t.Fatalf("before attempt %d: %+v, want %d", n, s, until)
		}
		r = try(t, r, now, wire.CodeWait)
		r = try(t, r, until-1, wire.CodeWait)
		if _, v := (Debit{Generation: r.Generation, Slot: r.Slot, KE1: r.KE1, NowMillis: now}).Apply(r, p); v.Refused != "" || v.Charged {
			t.Fatalf("a retry was held up: %q", v.Refused)
		}
		if s := r.Status(p, until); s.WaitUntilMillis != 0 {
			t.Fatalf("a wait that is over is told: %+v", s)
		}
		now = until
		r = try(t, r, now, "")
	}
	if s := r.Status(p, now); s.State != wire.StateExhausted || s.WaitUntilMillis != 0 {
		t.Fatalf("after the tenth: %+v", s)
	}
	r, _ = Refill{Generation: r.Generation, Slot: r.Slot}.Apply(r, p)
	try(t, r, now, "") // a success takes the waits away
}

// A clock that goes back makes no wait shorter, and none longer than it was
// when the attempt was committed.
func TestClockGoesBack(t *testing.T) {
	r := registered(t)
	for _, now := range []uint64{1_000_000, 1_000_001, 5, 6, 7} { // back after the second
		r = try(t, r, now, "")
	}
	const until = 1_000_001 + 20_000
	r = try(t, r, 7+20_000, wire.CodeWait)
	r = try(t, r, until-1, wire.CodeWait)
	r = try(t, r, until, "")
	r = try(t, r, 0, wire.CodeWait)
	r = try(t, r, until+40_000-1, wire.CodeWait)
	try(t, r, until+40_000, "")
}

// Only a proof takes waits away: what a proof held back did not pay for waits
// as before.
func TestHeldBackProofKeepsTheWait(t *testing.T) {
	r := registered(t)
	for range 5 {
		r = try(t, r, 1000, "")
	}
	r = try(t, r, 21_000, "")
	r, _ = Refill{Generation: r.Generation, Slot: 1}.Apply(r, policy)
	r = try(t, r, 21_001, wire.CodeWait) // five are still charged
	try(t, r, 41_000, "")
}
