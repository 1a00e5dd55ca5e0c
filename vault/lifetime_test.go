package vault_test

import (
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// TestLifetimeOfAnAccount goes through the box: twelve wrong attempts in all,
// over a destruction and restarts; then only the first owner's signature helps.
func TestLifetimeOfAnAccount(t *testing.T) {
	r := newRigUnder(t, opaque.P256SHA256, bundle.Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 12})
	r.register(alice, right, "K1")
	burn := func(n int) {
		t.Helper()
		for range n {
			if _, code := r.recover(alice, "wrong password"); code != "" {
				t.Fatal(code)
			}
		}
		r.now += 120_001
		r.turn()
		must(t, r.start())
		if s := r.status(alice); s.State != wire.StateDestroyed {
			t.Fatalf("%+v", s)
		}
	}
	burn(10)
	r.register(alice, right, "K1") // unsigned: the count goes on
	if s := r.status(alice); s.Left != 2 || s.WrongEver != 10 {
		t.Fatalf("%+v", s)
	}
	burn(2)
	evaluations := r.hal.Evaluations()
	for name, sign := range map[string]func(*registration){
		"unsigned":              func(*registration) {},
		"signed by another key": func(g *registration) { g.sign(r, alice, "K2") },
		"for another account":   func(g *registration) { g.sign(r, "bob", "K1") },
		"for another generation": func(g *registration) {
			real := g.gen
			g.gen[0] ^= 1
			g.sign(r, alice, "K1")
			g.gen = real
		},
	} {
		g := r.prepare(alice, right, "K1", nil)
		sign(g)
		if _, code := r.finish(g); code != wire.CodeLifetime {
			t.Fatalf("%s: %q", name, code)
		}
	}
	g := r.prepare(alice, right, "K3", nil)
	g.sign(r, alice, "K1")
	if _, code := r.finish(g); code != "" {
		t.Fatalf("signed by the first owner: %q", code)
	}
	if n := r.hal.Evaluations() - evaluations; n != 5 {
		t.Fatalf("%d evaluations for five registrations", n)
	}
	must(t, r.start())
	if s := r.status(alice); s.Left != 10 || s.WrongEver != 0 || s.State != wire.StateLive {
		t.Fatalf("%+v", s)
	}
	if k, code := r.recover(alice, right); k != "sealed:K3" {
		t.Fatalf("%q %q", k, code)
	}
}
