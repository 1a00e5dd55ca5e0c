package record

import (
	"reflect"
	"testing"

	"strongroom/protocol/wire"
)

var mortal = Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 25}

func owned(g, owner byte, r Record) Register {
	return Register{Generation: gen(g), Changes: r.Changes, Keys: Keys{Owner: [32]byte{owner}}}
}

func guesses(t *testing.T, r Record, n int) Record {
	t.Helper()
	for range n {
		var v Verdict
		if r, v = (Debit{Generation: r.Generation, Slot: r.Slot + 1, KE1: ke1(int(r.Slot + 1))}).Apply(r, mortal); v.Refused != "" {
			t.Fatalf("slot %d: %q", r.Slot+1, v.Refused)
		}
	}
	return r
}

func destroyed(t *testing.T, r Record) Record {
	t.Helper()
	r, gone := Destroy{Generation: r.Generation, Slot: r.Slot, NowMillis: r.OpenUntilMillis + 1}.Apply(r)
	if !gone {
		t.Fatalf("not destroyed: %+v", r.Status(mortal, 0))
	}
	return r
}

func applied(t *testing.T, r Record, g Register, want wire.Code) Record {
	t.Helper()
	after, code := g.Apply(r, mortal)
	if code != want || code != "" && !reflect.DeepEqual(after, r) {
		t.Fatalf("%q, want %q: %+v", code, want, after.Status(mortal, 0))
	}
	return after
}

// twentyFive is an account of owner 1 that made all wrong attempts of its
// lifetime, in three generations.
func twentyFive(t *testing.T) Record {
	t.Helper()
	r := applied(t, Record{}, owned(1, 1, Record{}), "")
	r = destroyed(t, guesses(t, r, 10))
	r = applied(t, r, owned(2, 1, r), "") // unsigned
	if s := r.Status(mortal, 0); s.Left != 10 || s.WrongEver != 10 || s.LifetimeLimit != 25 {
		t.Fatalf("%+v", s)
	}
	r, _ = Delete{Generation: gen(2)}.Apply(guesses(t, r, 9), mortal)
	r = applied(t, r, owned(3, 1, r), "")
	if s := r.Status(mortal, 0); s.Left != 6 || s.WrongEver != 19 {
		t.Fatalf("%+v", s)
	}
	r = guesses(t, r, 6)
	if s := r.Status(mortal, 0); s.State != wire.StateExhausted || s.WrongEver != 25 {
		t.Fatalf("%+v", s)
	}
	return destroyed(t, r)
}

func TestALifetimeEnds(t *testing.T) {
	r := twentyFive(t)
	applied(t, r, owned(4, 1, r), wire.CodeLifetime)
	proven := owned(4, 1, r)
	proven.Proven = true
	r = applied(t, r, proven, "")
	if s := r.Status(mortal, 0); s.Left != 10 || s.WrongEver != 0 {
		t.Fatalf("after the owner's proof: %+v", s)
	}
}

// A success gives no more attempts than the lifetime has left, and forgets
// none of those before it.
func TestSuccessRefillsToTheLifetime(t *testing.T) {
	r := applied(t, Record{}, owned(1, 1, Record{}), "")
	for range 2 {
		r = guesses(t, r, 10)
		r, _ = Refill{Generation: gen(1), Slot: r.Slot}.Apply(r, mortal)
	}
	if s := r.Status(mortal, 0); s.Left != 7 || s.WrongEver != 18 || s.WrongBefore != 9 {
		t.Fatalf("%+v", s)
	}
	r = guesses(t, r, 7)
	last := r
	if r.State != wire.StateExhausted {
		t.Fatalf("%+v", r.Status(mortal, 0))
	}
	destroyed(t, last)
	r, code := Refill{Generation: gen(1), Slot: r.Slot}.Apply(last, mortal) // the very last attempt was right
	if s := r.Status(mortal, 0); code != "" || s.State != wire.StateLive || s.Left != 1 || s.WrongEver != 24 {
		t.Fatalf("%q %+v", code, s)
	}
}

// Somebody with the account's token registers a key of his own over a
// tombstone and lets that key prove itself: the count stays, and it is still
// the first owner who can set it back.
func TestOwnKeySetsNothingBack(t *testing.T) {
	r := applied(t, Record{}, owned(1, 1, Record{}), "")
	r = destroyed(t, guesses(t, r, 10))
	r = applied(t, r, owned(2, 66, r), "")
	for g := byte(3); g < 5; g++ {
		old := r.Generation
		replace := owned(g, 66, r)
		replace.Replaces, replace.Proven = &old, true // by key 66, which owns what is live
		r = applied(t, guesses(t, r, 5), replace, "")
	}
	if s := r.Status(mortal, 0); s.WrongEver != 20 || s.Left != 5 {
		t.Fatalf("%+v", s)
	}
	r, _ = Delete{Generation: gen(4)}.Apply(r, policy)
	if p := r.Prover(nil, nil, Policy{}); p == nil || *p != [32]byte{1} {
		t.Fatalf("the prover of the tombstone is %v", p)
	}
}
