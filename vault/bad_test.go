package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/test/soak"
)

// Bad vectors of a run.
const (
	badEveryday = 300
	badLong     = 1000
)

const bob = "bob@example"

// A bad vector is what somebody sends who may hold a token, another account,
// another fleet, or what he saw on the line. It is made here and names the
// refusal that it must get.
type badVector struct {
	name string
	want wire.Code
	send func() wire.Code
}

// badWorld is a vault with two accounts, a second fleet with accounts of the
// same names, and all the good messages that bad ones are made of.
type badWorld struct {
	*rig
	other    *rig
	gen      wire.Generation // alice's, with K1
	bobsGen  wire.Generation // with K2
	elements [][]byte
	vectors  []badVector
	more     int // variations of each flaw

	recover       *wire.Answer // to alice's open attempt
	recoverBy     *channel.Exchange
	ke3           []byte
	registration  *registration // of alice, over her record, ready and signed
	fresh         *registration // of an account that has none
	othersTicket  []byte        // the other fleet's, of an open attempt there
	expiredTicket []byte
	expiredBy     *channel.Exchange
}

func newBadWorld(t *testing.T) *badWorld {
	w := &badWorld{rig: newRig(t, opaque.P256SHA256), other: newRig(t, opaque.P256SHA256), more: soak.Size(2, 40)}
	w.gen, w.bobsGen = w.register(alice, right, "K1"), w.register(bob, right, "K2")
	w.other.register(alice, right, "K1")
	w.elements = readBadElements(t)
	if _, code := w.mark(alice, wire.Mark{Generation: w.gen, Device: [16]byte{1}, Sequence: 5, Head: [32]byte{5}}, "K1"); code != "" {
		t.Fatal(code)
	}
	old := w.attempt(bob, right)
	a, by, _ := w.recoverStart(old)
	w.expiredTicket, w.expiredBy = a.RecoverStart.Ticket, by
	w.now += 121_000
	w.other.now = w.now
	at := w.attempt(alice, right)
	w.recover, w.recoverBy, _ = w.recoverStart(at)
	var err error
	w.ke3, _, _, err = at.login.Finish(w.recover.RecoverStart.KE2, argon())
	must(t, err)
	w.registration = w.prepare(alice, "another password", "K1", &w.gen)
	w.registration.sign(w.rig, alice, "K1")
	w.fresh = w.prepare("carol@example", right, "K3", nil)
	b, _, _ := w.other.recoverStart(w.other.attempt(alice, right))
	w.othersTicket = b.RecoverStart.Ticket
	return w
}

func readBadElements(t *testing.T) (elements [][]byte) {
	t.Helper()
	text, err := os.ReadFile("../spec/vectors/bad-elements.json")
	must(t, err)
	var vectors []struct{ Suite, Element string }
	must(t, json.Unmarshal(text, &vectors))
	for _, v := range vectors {
		if v.Suite == "P256-SHA256" {
			element, err := hex.DecodeString(v.Element)
			must(t, err)
			elements = append(elements, element)
		}
	}
	if len(elements) < 20 {
		t.Fatalf("only %d bad elements", len(elements))
	}
	return elements
}

func (w *badWorld) add(want wire.Code, send func() wire.Code, name string, a ...any) {
	w.vectors = append(w.vectors, badVector{fmt.Sprintf(name, a...), want, send})
}

// firstly adds a first trip.
func (w *badWorld) firstly(want wire.Code, f wire.First, name string, a ...any) {
	w.add(want, func() wire.Code { _, _, code := w.first(f); return code }, name, a...)
}

// plainly adds a first trip of any plaintext.
func (w *badWorld) plainly(want wire.Code, plaintext []byte, name string, a ...any) {
	w.add(want, func() wire.Code {
		sealed, exchange := w.sealPlain(plaintext)
		_, code := w.open(w.post(sealed), exchange)
		return code
	}, name, a...)
}

// raw adds a frame as it is.
func (w *badWorld) raw(want wire.Code, frame []byte, name string, a ...any) {
	w.add(want, func() wire.Code { return w.post(frame).Refused }, name, a...)
}

// secondly adds a second trip.
func (w *badWorld) secondly(want wire.Code, by *channel.Exchange, ticket []byte, m wire.Second, name string, a ...any) {
	w.add(want, func() wire.Code { _, code := w.second(by, ticket, m); return code }, name, a...)
}

// some gives positions spread over n, other ones for each flaw.
func (w *badWorld) some(n int) (positions []int) {
	for i := range min(w.more, n) {
		positions = append(positions, (i*n/min(w.more, n)+len(w.vectors))%n)
	}
	return positions
}

func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// operations are good first trips of alice.
func (w *badWorld) operations() map[string]wire.First {
	signed := func(statement []byte) []byte { return ed25519.Sign(owner("K1"), statement) }
	mark := &wire.Mark{Generation: w.gen, Device: [16]byte{1}, Sequence: 6, Head: [32]byte{6}}
	mark.Signature = signed(mark.Statement(w.fleet.ID, alice))
	request, _, err := w.client(alice).StartRegistration([]byte(right))
	must(w.TB, err)
	next := w.attempt(alice, right)
	t := w.vaultToken(alice)
	return map[string]wire.First{
		"Status":        {Token: t, Status: &wire.StatusRequest{}},
		"signed Status": {Token: t, Status: &wire.StatusRequest{Sign: true}},
		"Watch":         {Token: t, Watch: &wire.Watch{}},
		"RegisterStart": {Token: t, RegisterStart: &wire.RegisterStart{Request: request}},
		"RecoverStart":  {Token: t, RecoverStart: &wire.RecoverStart{Generation: w.gen, Slot: next.slot, KE1: next.ke1}},
		"Delete":        {Token: t, Delete: &wire.Delete{Generation: w.gen, Signature: signed(wire.DeleteStatement(w.fleet.ID, alice, w.gen))}},
		"Mark":          {Token: t, Mark: mark},
	}
}

// loose encodes what Validate would refuse.
type loose wire.First

func (w *badWorld) encode(f wire.First) []byte {
	f.Version = wire.Version
	plaintext, err := wire.Encode(loose(f))
	must(w.TB, err)
	return plaintext
}

func (w *badWorld) forms() {
	for name, f := range w.operations() {
		good := w.encode(f)
		for _, v := range []byte{0, 2, 3, 23} {
			changed := bytes.Clone(good)
			changed[2] = v // of the map {1: version, ...
			w.plainly(wire.CodeMalformed, changed, "%s of version %d", name, v)
		}
		for _, n := range w.some(len(good)) {
			w.plainly(wire.CodeMalformed, good[:n], "%s cut to %d bytes", name, n)
		}
		w.plainly(wire.CodeMalformed, append(bytes.Clone(good), 0), "%s and a byte", name)
		w.plainly(wire.CodeMalformed, append(bytes.Clone(good), good...), "%s twice", name)
		none := f
		none.Token = ""
		w.plainly(wire.CodeMalformed, w.encode(none), "%s without a token", name)
		two := f
		two.Status, two.RegisterStart = &wire.StatusRequest{}, &wire.RegisterStart{Request: w.elements[0]}
		w.plainly(wire.CodeMalformed, w.encode(two), "%s with another request", name)
	}
	w.plainly(wire.CodeMalformed, w.encode(wire.First{Token: w.vaultToken(alice)}), "no request")
	w.plainly(wire.CodeMalformed, nil, "nothing inside the seal")
}

func (w *badWorld) frames() {
	for name, f := range w.operations() {
		good, _ := w.sealFirst(f)
		for _, v := range []byte{0, 2, 255} {
			changed := bytes.Clone(good)
			changed[0] = v
			w.raw(wire.CodeSealing, changed, "%s, a frame of version %d", name, v)
		}
		for _, k := range []byte{0, 3, 4, 255} {
			changed := bytes.Clone(good)
			changed[1] = k
			w.raw(wire.CodeSealing, changed, "%s, a frame of kind %d", name, k)
		}
		second := bytes.Clone(good)
		second[1] = byte(channel.Second)
		w.add(wire.CodeSealing, func() wire.Code { // which of the two depends on what the ticket's length comes to
			if code := w.post(second).Refused; code != wire.CodeTicket {
				return code
			}
			return wire.CodeSealing
		}, "%s as a second trip", name)
		w.raw(wire.CodeSealing, good[:len(good)-1], "%s, a byte short", name)
		w.raw(wire.CodeSealing, append(bytes.Clone(good), 0), "%s, a byte long", name)
		w.raw(wire.CodeTooLarge, append(bytes.Clone(good), make([]byte, wire.RequestBytesMax)...), "%s, oversized", name)
		for _, bit := range w.some(8 * (len(good) - 2)) {
			w.raw(wire.CodeSealing, flip(good, 16+bit), "%s, bit %d flipped", name, 16+bit)
		}
		others, _ := w.other.sealFirst(f)
		w.raw(wire.CodeSealing, others, "%s, for another fleet", name)
	}
	w.raw(wire.CodeSealing, nil, "an empty frame")
	w.raw(wire.CodeSealing, []byte{1}, "one byte")
}

func (w *badWorld) tokens() {
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	must(w.TB, err)
	fleet := hex.EncodeToString(w.fleet.ID[:])
	issue := func(c token.Claims, id string, key ed25519.PrivateKey) string {
		jws, err := token.Issue(c, id, key)
		must(w.TB, err)
		return jws
	}
	now := int64(w.now / 1000)
	claims := func(from, to int64) token.Claims {
		return token.Claims{Account: alice, Audience: fleet, IssuedUnix: from, ExpiresUnix: to, ID: "t"}
	}
	bad := map[string]string{
		"for the relay":        w.token(alice, token.AudienceRelay),
		"for another fleet":    w.other.vaultToken(alice),
		"for nobody":           w.token(alice, ""),
		"by a stranger":        issue(claims(now, now+60), "test", stranger),
		"by an unknown id":     issue(claims(now, now+60), "tester", w.issuer),
		"expired":              issue(claims(now-7200, now-3600), "test", w.issuer),
		"not valid yet":        issue(claims(now+3600, now+7200), "test", w.issuer),
		"good for ever":        issue(claims(now, now+1e9), "test", w.issuer),
		"of no account":        issue(token.Claims{Audience: fleet, IssuedUnix: now, ExpiresUnix: now + 60}, "test", w.issuer),
		"of algorithm none":    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
		"that is none":         "x",
		"of three empty parts": "..",
	}
	good := w.vaultToken(alice)
	for _, at := range w.some(len(good)) {
		changed := []byte(good)
		if changed[at] = 'A'; good[at] == 'A' {
			changed[at] = 'Q'
		}
		if at == len(good)-1 {
			continue // its last digit has bits that nothing reads; strict decoding refuses most
		}
		bad[fmt.Sprintf("changed at %d", at)] = string(changed)
	}
	for name, f := range w.operations() {
		for which, jws := range bad {
			f := f
			f.Token = jws
			w.firstly(wire.CodeToken, f, "%s, a token %s", name, which)
		}
	}
}

func (w *badWorld) accounts() {
	bobs := w.vaultToken(bob)
	for name, f := range w.operations() {
		if f.Status == nil && f.Watch == nil && f.RegisterStart == nil {
			f := f
			f.Token = bobs
			w.firstly(wire.CodeGeneration, f, "%s of alice with bob's token", name)
			f.Token = w.vaultToken("nobody@example")
			w.firstly(wire.CodeNoRecord, f, "%s of alice with the token of nobody", name)
		}
	}
	at := w.attempt(alice, right)
	start := func(g wire.Generation, slot uint64, ke1 []byte) wire.First {
		return wire.First{Token: w.vaultToken(alice), RecoverStart: &wire.RecoverStart{Generation: g, Slot: slot, KE1: ke1}}
	}
	for _, slot := range []uint64{at.slot - 1, at.slot + 1, at.slot + 2, 1 << 40, 1<<63 - 1} {
		w.firstly(wire.CodeSlot, start(w.gen, slot, at.ke1), "a new KE1 at slot %d, the next is %d", slot, at.slot)
	}
	w.firstly(wire.CodeGeneration, start(w.bobsGen, at.slot, at.ke1), "bob's generation")
	for _, bit := range w.some(128) {
		w.firstly(wire.CodeGeneration, start(wire.Generation(flip(w.gen[:], bit)), at.slot, at.ke1), "a generation with bit %d flipped", bit)
	}
	for i, element := range w.elements {
		ke1 := bytes.Clone(at.ke1)
		if len(element) == 33 {
			share := bytes.Clone(at.ke1)
			copy(share[65:], element)
			w.firstly(wire.CodeMalformed, start(w.gen, at.slot, share), "bad element %d as KE1's share", i)
			copy(ke1, element)
			w.firstly(wire.CodeMalformed, wire.First{Token: w.vaultToken(alice), RegisterStart: &wire.RegisterStart{Request: element}}, "bad element %d to be registered", i)
		} else {
			ke1 = append(bytes.Clone(element), ke1[33:]...)
		}
		w.firstly(wire.CodeMalformed, start(w.gen, at.slot, ke1), "bad element %d to be evaluated", i)
	}
}

func (w *badWorld) signatures() {
	t := w.vaultToken(alice)
	sign := func(k string, statement []byte) []byte { return ed25519.Sign(owner(k), statement) }
	good := sign("K1", wire.DeleteStatement(w.fleet.ID, alice, w.gen))
	forged := map[string][]byte{
		"by another key":         sign("K2", wire.DeleteStatement(w.fleet.ID, alice, w.gen)),
		"for another account":    sign("K1", wire.DeleteStatement(w.fleet.ID, bob, w.gen)),
		"for another fleet":      sign("K1", wire.DeleteStatement(w.other.fleet.ID, alice, w.gen)),
		"for another generation": sign("K1", wire.DeleteStatement(w.fleet.ID, alice, w.bobsGen)),
		"of nothing":             sign("K1", nil),
		"of zeros":               make([]byte, 64),
	}
	for _, bit := range w.some(8 * len(good)) {
		forged[fmt.Sprintf("with bit %d flipped", bit)] = flip(good, bit)
	}
	mark := wire.Mark{Generation: w.gen, Device: [16]byte{1}, Sequence: 6, Head: [32]byte{6}}
	for name, signature := range forged {
		w.firstly(wire.CodeOwner, wire.First{Token: t, Delete: &wire.Delete{Generation: w.gen, Signature: signature}}, "a deletion signed %s", name)
		m := mark
		m.Signature = signature
		w.firstly(wire.CodeOwner, wire.First{Token: t, Mark: &m}, "a mark signed as a deletion %s", name)
	}
	for _, sequence := range []uint64{1, 4, 5} {
		m := mark
		m.Sequence = sequence
		m.Signature = sign("K1", m.Statement(w.fleet.ID, alice))
		w.firstly(wire.CodeStale, wire.First{Token: t, Mark: &m}, "a mark of sequence %d after 5", sequence)
	}
	finish := *w.registration.finish
	for _, bit := range w.some(8 * 64) {
		f := finish
		f.Signature = flip(finish.Signature, bit)
		w.secondly(wire.CodeOwner, w.registration.exchange, w.registration.ticket, wire.Second{RegisterFinish: &f}, "a replacement with bit %d of its signature flipped", bit)
	}
}

func (w *badWorld) secondTrips() {
	proof := wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: w.ke3}}
	ticket := w.recover.RecoverStart.Ticket
	w.secondly(wire.CodeSealing, w.recoverBy, w.registration.ticket, proof, "a registration's ticket under a recovery's exchange")
	w.secondly(wire.CodeTicket, w.registration.exchange, w.registration.ticket, proof, "a proof under a registration's ticket")
	w.secondly(wire.CodeTicket, w.recoverBy, w.othersTicket, proof, "another fleet's ticket")
	w.secondly(wire.CodeTicket, w.expiredBy, w.expiredTicket, proof, "an expired ticket")
	w.secondly(wire.CodeSealing, w.registration.exchange, ticket, proof, "a ticket under another exchange")
	w.secondly(wire.CodeTicket, w.recoverBy, ticket, wire.Second{RegisterFinish: w.registration.finish}, "a registration under a recovery's ticket")
	for _, bit := range w.some(8 * len(ticket)) {
		w.secondly(wire.CodeTicket, w.recoverBy, flip(ticket, bit), proof, "a ticket with bit %d flipped", bit)
	}
	for _, n := range w.some(len(ticket)) {
		if n > 0 {
			w.secondly(wire.CodeTicket, w.recoverBy, ticket[:n], proof, "a ticket cut to %d bytes", n)
		}
	}
	for _, bit := range w.some(8 * len(w.ke3)) {
		w.secondly(wire.CodeProof, w.recoverBy, ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: flip(w.ke3, bit)}}, "a proof with bit %d flipped", bit)
	}
	w.secondly(wire.CodeProof, w.recoverBy, ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: w.ke3[1:]}}, "a short proof")
	w.secondly(wire.CodeProof, w.recoverBy, ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: make([]byte, len(w.ke3))}}, "a proof of zeros")

	register := func(want wire.Code, g *registration, change func(*wire.RegisterFinish), name string, a ...any) {
		f := *g.finish
		change(&f)
		w.secondly(want, g.exchange, g.ticket, wire.Second{RegisterFinish: &f}, name, a...)
	}
	for _, bit := range w.some(256) {
		register(wire.CodeTranscript, w.fresh, func(f *wire.RegisterFinish) { f.Transcript = [32]byte(flip(f.Transcript[:], bit)) }, "a transcript with bit %d flipped", bit)
	}
	for i, element := range w.elements {
		if len(element) == 33 {
			register(wire.CodeMalformed, w.fresh, func(f *wire.RegisterFinish) { f.Record = append(bytes.Clone(element), f.Record[33:]...) }, "a record with bad element %d", i)
		}
	}
	register(wire.CodeOwner, w.registration, func(f *wire.RegisterFinish) { f.Replaces, f.Signature = nil, nil }, "a first registration over a record")
	register(wire.CodeReplaces, w.registration, func(f *wire.RegisterFinish) { f.Replaces = &w.bobsGen }, "a replacement of bob's generation")
	register(wire.CodeOwner, w.registration, func(f *wire.RegisterFinish) { f.Signature = nil }, "a replacement that nobody signed")
}

// TestBadVectors: each is refused under the name that it names, and changes
// nothing: no evaluation at the HSM's door, no entry in the log.
func TestBadVectors(t *testing.T) {
	w := newBadWorld(t)
	for _, add := range []func(){w.forms, w.frames, w.tokens, w.accounts, w.signatures, w.secondTrips} {
		add()
	}
	before, bobs := *w.status(alice), *w.status(bob)
	evaluations, entries := w.hal.Evaluations(), len(w.Written)
	names := map[string]bool{}
	for _, v := range w.vectors {
		names[v.name] = true
		if code := v.send(); code != v.want {
			t.Errorf("%s: %q, want %q", v.name, code, v.want)
		}
		if w.hal.Evaluations() != evaluations || len(w.Written) != entries {
			t.Fatalf("%s: state changed: %d evaluations, %d entries", v.name, w.hal.Evaluations()-evaluations, len(w.Written)-entries)
		}
	}
	if after := *w.status(alice); !reflect.DeepEqual(after, before) {
		t.Errorf("alice: %+v became %+v", before, after)
	}
	if after := *w.status(bob); !reflect.DeepEqual(after, bobs) {
		t.Errorf("bob: %+v became %+v", bobs, after)
	}
	soak.Tried(t, "P7", "bad vectors of one vault, each refused by its name", len(names), soak.Size(badEveryday, badLong))
	// The good ones that they were made of are good.
	if _, code := w.second(w.recoverBy, w.recover.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: w.ke3}}); code != "" {
		t.Errorf("the proof, whole: %q", code)
	}
	for _, g := range []*registration{w.registration, w.fresh} {
		if _, code := w.finish(g); code != "" {
			t.Errorf("the registration, whole: %q", code)
		}
	}
}
