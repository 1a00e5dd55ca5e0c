package vault_test

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

func (r *rig) mark(account string, m wire.Mark, k string) (*wire.StatusReport, wire.Code) {
	r.Helper()
	if m.Signature == nil {
		m.Signature = ed25519.Sign(owner(k), m.Statement(r.fleet.ID, account))
	}
	a, _, code := r.first(wire.First{Token: r.vaultToken(account), Mark: &m})
	return a.Status, code
}

func TestMarks(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	gen := r.register(alice, right, "K1")
	r.register("bob@example", right, "K1")
	m := wire.Mark{Generation: gen, Device: [16]byte{1}, Sequence: 3, Head: [32]byte{3}}
	is := []wire.MarkReport{{Device: m.Device, Sequence: 3, Head: m.Head}}

	bobs := m
	bobs.Signature = ed25519.Sign(owner("K1"), m.Statement(r.fleet.ID, "bob@example"))
	higher := m
	higher.Signature, higher.Sequence = ed25519.Sign(owner("K1"), m.Statement(r.fleet.ID, alice)), 4
	forDelete := m
	forDelete.Signature = ed25519.Sign(owner("K1"), wire.DeleteStatement(r.fleet.ID, alice, gen))
	entries := len(r.Written)
	for name, c := range map[string]struct {
		m wire.Mark
		k string
	}{"another key": {m, "K2"}, "for another account": {bobs, ""}, "for another sequence": {higher, ""}, "for a deletion": {forDelete, ""}} {
		if s, code := r.mark(alice, c.m, c.k); code != wire.CodeOwner || len(s.Marks) != 0 {
			t.Errorf("signed by, or for, %s: %q %v", name, code, s.Marks)
		}
	}
	if len(r.Written) != entries {
		t.Fatal("a refusal was written")
	}
	if s, code := r.mark(alice, m, "K1"); code != "" || !slices.Equal(s.Marks, is) {
		t.Fatalf("%q %+v", code, s)
	}
	entries = len(r.Written)
	if s, code := r.mark(alice, m, "K1"); code != "" || !slices.Equal(s.Marks, is) || len(r.Written) != entries {
		t.Fatalf("a retry: %q %+v", code, s)
	}
	older := m
	older.Sequence = 2
	if _, code := r.mark(alice, older, "K1"); code != wire.CodeStale {
		t.Fatalf("an older one: %q", code)
	}
	// Read back with Status and RecoverFinish, after a restart too.
	must(t, r.start())
	if s := r.status(alice); !slices.Equal(s.Marks, is) {
		t.Fatalf("%+v", s)
	}
	at := r.attempt(alice, right)
	a, exchange, _ := r.recoverStart(at)
	ke3, _, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
	must(t, err)
	b, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	if code != "" || !slices.Equal(b.Status.Marks, is) {
		t.Fatalf("%q %+v", code, b)
	}
	// A proven replacement keeps them; the old generation's signature is void.
	g := r.prepare(alice, "another password", "K1", &gen)
	g.sign(r, alice, "K1")
	if _, code := r.finish(g); code != "" {
		t.Fatal(code)
	}
	next := m
	next.Sequence = 4
	if s, code := r.mark(alice, next, "K1"); code != wire.CodeGeneration || !slices.Equal(s.Marks, is) {
		t.Fatalf("%q %+v", code, s)
	}
}

// The fullest record's answers fit into their frame, and its entries into the
// log.
func TestFullRecordFits(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	g := r.prepare(alice, right, "K1", nil)
	g.finish.SealedKey = make([]byte, wire.SealedKeyBytesMax)
	if _, code := r.finish(g); code != "" {
		t.Fatal(code)
	}
	for i := range byte(wire.MarksMax) {
		m := wire.Mark{Generation: g.gen, Device: [16]byte{i, 0xff}, Sequence: 1<<63 + uint64(i), Head: [32]byte{i}}
		if _, code := r.mark(alice, m, "K1"); code != "" {
			t.Fatal(code)
		}
	}
	if s, code := r.mark(alice, wire.Mark{Generation: g.gen, Device: [16]byte{99}, Sequence: 1}, "K1"); code != wire.CodeMarks || len(s.Marks) != 16 {
		t.Fatalf("a seventeenth device: %q", code)
	}
	if k, code := r.recover(alice, right); len(k) != wire.SealedKeyBytesMax {
		t.Fatalf("%q", code)
	}
	must(t, r.start())
}
