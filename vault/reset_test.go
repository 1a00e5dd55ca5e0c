package vault_test

import (
	"crypto/ed25519"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

const week = 7 * 24 * 3600 * 1000

func newResetRig(t *testing.T) (*rig, wire.Generation) {
	r := newRigUnder(t, opaque.P256SHA256, bundle.Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 100, ResetMillis: week})
	return r, r.register(alice, right, "K1")
}

// reset asks for one with key k and gives its registration.
func (r *rig) reset(account, password, k string, want wire.Code) *registration {
	r.Helper()
	live := r.status(account).Generation
	g := r.prepare(account, password, k, &live)
	g.finish.Reset = true
	g.sign(r, account, k)
	if _, code := r.finish(g); code != want {
		r.Fatalf("reset: %q, want %q", code, want)
	}
	return g
}

func (r *rig) cancel(account string, at uint64, k string) wire.Code {
	r.Helper()
	c := &wire.Cancel{Generation: r.status(account).Generation, AtMillis: at}
	c.Signature = ed25519.Sign(owner(k), c.Statement(r.fleet.ID, account))
	_, _, code := r.first(wire.First{Token: r.vaultToken(account), Cancel: c})
	return code
}

// TestResetInTheBox: the new generation waits a week, over restarts; the old
// one works meanwhile; then the new one has the old one's failures.
func TestResetInTheBox(t *testing.T) {
	r, old := newResetRig(t)
	for range 4 {
		r.recover(alice, "wrong password")
	}
	asked := r.now
	g := r.reset(alice, "thief's password", "K2", "")
	if _, code := r.finish(g); code != "" || r.status(alice).Resets != 1 {
		t.Fatalf("a retry: %q", code)
	}
	r.reset(alice, "another thief's", "K3", wire.CodePending)
	must(t, r.start())
	s := r.status(alice)
	if s.Generation != old || s.Left != 6 || s.Pending == nil || s.Pending.AtMillis != asked+week || *s.Pending.Generation != g.gen || s.Resets != 1 {
		t.Fatalf("%+v", s)
	}
	r.now = asked + week
	r.recover(alice, "wrong password") // its ticket is open now
	r.now = asked + week + 1
	r.turn()
	if s := r.status(alice); s.Generation != old {
		t.Fatalf("reset under an open attempt: %+v", s)
	}
	r.now = asked + week + 120_001
	r.turn()
	must(t, r.start())
	if s := r.status(alice); s.Generation != g.gen || s.Left != 5 || s.WrongEver != 5 || s.Pending != nil || s.State != wire.StateLive {
		t.Fatalf("%+v", s)
	}
	if k, code := r.recover(alice, right); k != "" || code != "" {
		t.Fatalf("the old password: %q %q", k, code)
	}
	if k, _ := r.recover(alice, "thief's password"); k != "sealed:K2" {
		t.Fatal("the new password does not open")
	}
}

// Nothing happens to a record whose owner shows a proof in time, and what was
// kept of the reset brings it not back.
func TestOwnerStopsTheReset(t *testing.T) {
	for name, stop := range map[string]func(*rig, wire.Generation){
		"by the password": func(r *rig, _ wire.Generation) {
			if k, _ := r.recover(alice, right); k != "sealed:K1" {
				r.Fatal("the old password does not open")
			}
		},
		"by a mark": func(r *rig, g wire.Generation) {
			if _, code := r.mark(alice, wire.Mark{Generation: g, Sequence: 1}, "K1"); code != "" {
				r.Fatal(code)
			}
		},
		"by a cancel": func(r *rig, g wire.Generation) {
			at := r.status(alice).Pending.AtMillis
			for _, k := range []string{"K2", "K1", "K1"} { // the thief's, the owner's, a retry
				if code := r.cancel(alice, at, k); (code == wire.CodeOwner) != (k == "K2") {
					r.Fatalf("cancel by %s: %q", k, code)
				}
			}
			if code := r.cancel("bob@example", at, "K1"); code != wire.CodeNoRecord {
				r.Fatalf("another account: %q", code)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, old := newResetRig(t)
			g := r.reset(alice, "thief's password", "K2", "")
			r.now += 60_000
			stop(r, old)
			if s := r.status(alice); s.Pending != nil || s.Generation != old || s.Resets != 1 {
				t.Fatalf("%+v", s)
			}
			if _, code := r.finish(g); code != wire.CodeReplaces {
				t.Fatalf("the same reset again: %q", code)
			}
			r.now += 2 * week
			must(t, r.start())
			r.turn()
			if k, _ := r.recover(alice, right); k != "sealed:K1" || r.status(alice).Generation != old {
				t.Fatal("it was carried out")
			}
		})
	}
}

func TestDeleteWithoutProofInTheBox(t *testing.T) {
	r, old := newResetRig(t)
	later := func(account string) wire.Code {
		_, _, code := r.first(wire.First{Token: r.vaultToken(account), Delete: &wire.Delete{Generation: old, Later: true}})
		return code
	}
	if code := later("bob@example"); code != wire.CodeNoRecord {
		t.Fatalf("another account: %q", code)
	}
	asked := r.now
	for range 2 { // a retry moves nothing
		if code := later(alice); code != "" {
			t.Fatal(code)
		}
		r.now += 1000
	}
	r.now = asked + week
	r.turn()
	if k, _ := r.recover("nobody", right); k != "" || r.status(alice).State != wire.StateLive {
		t.Fatal("deleted too early")
	}
	r.now++
	r.turn()
	if s := r.status(alice); s.State != wire.StateDeleted || s.Resets != 1 {
		t.Fatalf("%+v", s)
	}
}
