package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
)

// fleet is some islands of one box each, the founder first, and the layouts
// that its custodian signed.
type fleet struct {
	testing.TB
	custodian ed25519.PrivateKey
	islands   []*rig
	shown     wire.Layouts
}

func newFleet(t testing.TB, islands int) *fleet {
	t.Helper()
	issuer, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	custodian, signs, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	f := &fleet{TB: t, custodian: signs}
	for range islands {
		h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
		must(t, err)
		r := &rig{TB: t, hal: hsmtest.NewCounter(h), Disk: disk.New(), issuer: private, now: 1_700_000_000_000, serving: func() {}, served: func() {}}
		founding := vault.Founding{
			Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 100, ResetMillis: 600_000},
			Issuers: []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: issuer}}, Isolation: "none", Rollback: "file",
			Custodians: [][]byte{custodian}, Quorum: 1, Founder: f.shown.Founder,
		}
		r.document, r.island, err = vault.Make(r.hal, founding)
		must(t, err)
		r.fleet, err = bundle.Decode(r.document)
		must(t, err)
		must(t, r.start())
		if f.shown.Founder == nil {
			f.shown.Founder = r.document
		} else {
			f.shown.Islands = append(f.shown.Islands, r.document)
		}
		f.islands = append(f.islands, r)
	}
	return f
}

func (f *fleet) homes() *bundle.Layouts {
	f.Helper()
	known, err := bundle.CheckLayouts(f.shown)
	must(f.TB, err)
	return known
}

// layout signs the next one, of these islands.
func (f *fleet) layout(which ...int) {
	f.Helper()
	known := f.homes()
	l := bundle.Layout{Fleet: known.Fleet, Number: known.Newest() + 1, Before: known.Digest(known.Newest())}
	for _, n := range which {
		l.Islands = append(l.Islands, bundle.PinOf(f.islands[n].document))
	}
	if len(which) == 2 && bytes.Compare(l.Islands[0][:], l.Islands[1][:]) > 0 {
		l.Islands[0], l.Islands[1] = l.Islands[1], l.Islands[0]
	}
	statement, err := l.Statement()
	must(f.TB, err)
	l.Signatures = []bundle.OrderSignature{{Custodian: 0, Signature: ed25519.Sign(f.custodian, statement)}}
	b, err := l.Encode()
	must(f.TB, err)
	f.shown.Layouts = append(f.shown.Layouts, b)
}

// show shows an island the newest layouts.
func (f *fleet) show(which ...int) {
	f.Helper()
	for _, n := range which {
		f.islands[n].shows = &f.shown
		f.islands[n].turn()
	}
}

// account is one whose home in the newest layout is that island.
func (f *fleet) account(island int) string {
	f.Helper()
	known := f.homes()
	for i := range 1000 {
		if name := fmt.Sprint("account ", i); known.Home(name) == bundle.PinOf(f.islands[island].document) {
			return name
		}
	}
	f.Fatal("no account is at home there")
	return ""
}

func (r *rig) depart(account string, d wire.Depart) (*wire.Receipt, wire.Code) {
	r.Helper()
	a, _, code := r.first(wire.First{Token: r.vaultToken(account), Depart: &d})
	if a == nil || code != "" {
		return nil, code
	}
	return &a.Depart.Receipt, ""
}

func (r *rig) arrive(account string, g wire.Generation, receipts ...wire.Receipt) wire.Code {
	r.Helper()
	_, _, code := r.first(wire.First{Token: r.vaultToken(account), Arrive: &wire.Arrive{Generation: g, Receipts: receipts}})
	return code
}

// departure is the owner's departure.
func (r *rig) departure(account, k string, live wire.Generation, d wire.Depart) wire.Depart {
	d.Signature = ed25519.Sign(owner(k), d.Statement(r.fleet.ID, account, live))
	return d
}

// TestAccountMoves is one move, with all that a token's thief tries on its way,
// restarts of both boxes at every step, and the same count of wrong attempts
// before and after.
func TestAccountMoves(t *testing.T) {
	f := newFleet(t, 3)
	a, b, c := f.islands[0], f.islands[1], f.islands[2]
	f.layout(0, 1)
	account := f.account(1)
	live := a.register(account, "password", "k")
	for range 3 {
		if key, code := a.recover(account, "wrong"); key != "" || code != "" {
			t.Fatal(key, code)
		}
	}
	if g := b.prepare(account, "thief's", "thief", nil); g == nil {
		t.Fatal("no answer")
	} else if _, code := b.finish(g); code != wire.CodeLayout {
		t.Fatalf("registered before any layout names the island: %q", code)
	}
	f.show(0, 1)
	restart := func() {
		t.Helper()
		must(t, a.start())
		must(t, b.start())
	}
	restart()
	to := bundle.PinOf(b.document)
	g := b.prepare(account, "password", "k", nil)
	if _, code := b.finish(g); code != "" || b.status(account).State != wire.StateArriving {
		t.Fatalf("%q %+v", code, b.status(account))
	}
	restart()
	if _, _, code := b.recoverStart(b.attempt(account, "password")); code != wire.CodeArriving {
		t.Fatalf("an attempt before it arrived: %q", code)
	}
	thief := b.prepare(account, "thief's", "thief", nil)
	if _, code := b.finish(thief); code != wire.CodeArriving {
		t.Fatalf("a second registration: %q", code)
	}
	d := wire.Depart{To: to, Layout: 1, Generation: g.gen}
	stolen := wire.Depart{To: to, Layout: 1, Generation: thief.gen}
	for name, bad := range map[string]wire.Depart{
		"unsigned": d, "signed by somebody": a.departure(account, "thief", live, stolen), "signed for another": {To: to, Layout: 1, Generation: thief.gen, Signature: a.departure(account, "k", live, d).Signature},
	} {
		if _, code := a.depart(account, bad); code != wire.CodeOwner {
			t.Errorf("depart, %s: %q", name, code)
		}
	}
	for name, bad := range map[string]wire.Depart{
		"in a layout nobody knows": {To: to, Layout: 2, Generation: g.gen}, "to an island of no layout": {To: bundle.PinOf(c.document), Layout: 1, Generation: g.gen},
	} {
		if _, code := a.depart(account, a.departure(account, "k", live, bad)); code != wire.CodeLayout {
			t.Errorf("depart, %s: %q", name, code)
		}
	}
	receipt, code := a.depart(account, a.departure(account, "k", live, d))
	if code != "" || receipt.Wrong != 3 || receipt.Before != wire.StateLive || !receipt.Signed {
		t.Fatalf("%q %+v", code, receipt)
	}
	restart()
	again, code := a.depart(account, d) // whoever asks gets it again
	if code != "" || again.Changes != receipt.Changes {
		t.Fatalf("%q %+v", code, again)
	}
	if _, code := a.depart(account, stolen); code != wire.CodeOwner {
		t.Fatalf("a receipt for the thief: %q", code)
	}
	f.refusedReceipts(account, g.gen, *receipt)
	if code := b.arrive(account, g.gen, *again); code != "" {
		t.Fatal(code)
	}
	restart()
	if s := b.status(account); s.State != wire.StateLive || s.WrongEver != 3 || s.Left != 7 || s.Slot != 3 || s.Layout != 1 {
		t.Fatalf("%+v", s)
	}
	if s := a.status(account); s.State != wire.StateDeparted || s.Departed.To != to || s.Departed.Generation != g.gen {
		t.Fatalf("%+v", s)
	}
	if key, code := b.recover(account, "password"); key != "sealed:k" || code != "" {
		t.Fatal(key, code)
	}
	if _, _, code := a.recoverStart(&attempt{account, live, 4, b.attempt(account, "x").ke1, nil}); code != wire.CodeDeparted {
		t.Fatalf("an attempt at the old island: %q", code)
	}
	if code := b.arrive(account, g.gen, *receipt); code != "" {
		t.Fatalf("a retry: %q", code)
	}
	f.moveOn(account, g.gen, *receipt)
}

// refusedReceipts shows the island receipts that are not good.
func (f *fleet) refusedReceipts(account string, g wire.Generation, good wire.Receipt) {
	f.Helper()
	b := f.islands[1]
	for name, change := range map[string]func(*wire.Receipt){
		"of fewer wrong attempts": func(r *wire.Receipt) { r.Wrong = 0 }, "of another layout": func(r *wire.Receipt) { r.Layout = 2 },
		"of itself": func(r *wire.Receipt) { r.From = bundle.PinOf(b.document) }, "with a flipped bit": func(r *wire.Receipt) { r.Signature[63] ^= 1 },
		"without its past": func(r *wire.Receipt) { r.Past = nil }, "with another past": func(r *wire.Receipt) { r.Past = &wire.Past{} },
		"unsigned": func(r *wire.Receipt) { r.Signed = false }, "of another root": func(r *wire.Receipt) { r.Root[0] ^= 1 },
	} {
		bad := good
		bad.Signature = bytes.Clone(good.Signature)
		change(&bad)
		if code := b.arrive(account, g, bad); code != wire.CodeReceipt {
			f.Errorf("a receipt %s: %q", name, code)
		}
	}
	if code := b.arrive(account, g, good, good); code != wire.CodeReceipt {
		f.Errorf("a receipt twice: %q", code)
	}
	other := "another " + account
	if code := b.arrive(other, g, good); code == "" {
		f.Errorf("a receipt of another account is taken")
	}
}

// moveOn has the account go on to a third island, whose box needs receipts of
// both, and back: what brought it the first time brings it no second time.
func (f *fleet) moveOn(account string, live wire.Generation, first wire.Receipt) {
	f.Helper()
	a, b, c := f.islands[0], f.islands[1], f.islands[2]
	f.layout(2)
	f.show(0, 1, 2)
	g := c.prepare(account, "password", "k", nil)
	if _, code := c.finish(g); code != "" {
		f.Fatal(code)
	}
	d := wire.Depart{To: bundle.PinOf(c.document), Layout: 2, Generation: g.gen}
	fromB, code := b.depart(account, b.departure(account, "k", live, d))
	if code != "" {
		f.Fatal(code)
	}
	for name, receipts := range map[string][]wire.Receipt{"one missing": {*fromB}, "one of the move before": {*fromB, first}, "none but that": {first}} {
		if code := c.arrive(account, g.gen, receipts...); code != wire.CodeReceipt {
			f.Errorf("%s: %q", name, code)
		}
	}
	var fromA *wire.Receipt
	if fromA, code = a.depart(account, d); code != wire.CodeOwner {
		f.Fatalf("who left last week's island decides still: %q", code)
	}
	fromA, code = a.depart(account, a.departure(account, "k", f.left(a, account), d))
	if code != "" {
		f.Fatal(code)
	}
	if code := c.arrive(account, g.gen, *fromA, *fromB); code != "" {
		f.Fatal(code)
	}
	if s := c.status(account); s.State != wire.StateLive || s.WrongEver != 3 {
		f.Fatalf("%+v", s)
	}
	if code := b.arrive(account, live, first); code == "" {
		f.Fatal("the first move's receipt brings it back")
	}
}

// left is the generation that left an island.
func (f *fleet) left(r *rig, account string) wire.Generation { return r.status(account).Generation }

// TestIslandAgreesOnLayouts: one box of three is shown a layout; the island
// knows it, also when another one leads, and a box that started anew.
func TestIslandAgreesOnLayouts(t *testing.T) {
	s := newIsland(t, 3, bundle.Policy{Attempts: 10, TicketMillis: 120_000, ResetMillis: 600_000}, "file")
	s.order()
	s.serves()
	s.ask = func(sealed []byte) *wire.Reply { return s.asks(s.leader(), sealed) }
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	other, _, err := vault.Make(h, vault.Founding{Suite: opaque.P256SHA256, Founder: s.document, Isolation: "none", Rollback: "file"})
	must(t, err)
	l := bundle.Layout{Fleet: s.fleet.ID, Number: 1, Before: bundle.PinOf(s.document), Islands: []bundle.Pin{bundle.PinOf(other)}}
	statement, err := l.Statement()
	must(t, err)
	for i, key := range s.custodians[:2] {
		l.Signatures = append(l.Signatures, bundle.OrderSignature{Custodian: uint8(i), Signature: ed25519.Sign(key, statement)})
	}
	b, err := l.Encode()
	must(t, err)
	live := s.register("anna", "right", "K")
	shown := wire.Layouts{Founder: s.document, Islands: [][]byte{other}, Layouts: [][]byte{b}}
	s.boxes[s.leader()].in.Layouts = &shown
	s.until("the island knows the layout", func() bool { return s.status("anna").Layout == 1 })
	first := s.leader()
	s.kill(first)
	s.until("another box leads", func() bool { return s.leader() >= 0 && s.leader() != first })
	if n := s.status("anna").Layout; n != 1 {
		t.Fatalf("the next leader knows layout %d", n)
	}
	d := wire.Depart{To: bundle.PinOf(other), Layout: 1, Generation: wire.Generation{1}}
	if _, code := s.depart("anna", d); code != wire.CodeOwner {
		t.Fatalf("unsigned: %q", code)
	}
	receipt, code := s.depart("anna", s.departure("anna", "K", live, d))
	if code != "" || receipt.From != bundle.PinOf(s.document) || receipt.Opened != 1 {
		t.Fatalf("%q %+v", code, receipt)
	}
	s.restart(first)
	s.serves()
	s.kill(s.leader())
	s.until("a third box leads, or the one that started anew", func() bool { return s.leader() >= 0 })
	if r := s.status("anna"); r.Layout != 1 || r.State != wire.StateDeparted {
		t.Fatalf("%+v", r)
	}
}
