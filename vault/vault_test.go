package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/vault"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
)

const (
	alice = "alice@example"
	right = "correct horse battery"
)

func TestLifeOfAPassword(t *testing.T) {
	for name, suite := range map[string]*opaque.Suite{"P256": opaque.P256SHA256, "ristretto255": opaque.Ristretto255SHA512} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, suite)
			if s := r.status(alice); s.State != wire.StateNone {
				t.Fatalf("before: %+v", s)
			}
			gen := r.register(alice, right, "K1")
			for range 2 {
				if k, code := r.recover(alice, "wrong password"); k != "" || code != "" {
					t.Fatalf("a wrong password got %q %q", k, code)
				}
			}
			if s := r.status(alice); s.Left != 8 || s.Wrong != 2 {
				t.Fatalf("after two wrong: %+v", s)
			}
			if k, code := r.recover(alice, right); k != "sealed:K1" {
				t.Fatalf("the right password got %q %q", k, code)
			}
			if s := r.status(alice); s.Left != 10 || s.WrongBefore != 2 || s.Generation != gen {
				t.Fatalf("after the proof: %+v", s)
			}
			g := r.prepare(alice, "another password", "K1", &gen)
			g.sign(r, alice, "K1")
			if _, code := r.finish(g); code != "" {
				t.Fatalf("change of password: %q", code)
			}
			if k, _ := r.recover(alice, right); k != "" {
				t.Fatal("the old password still works")
			}
			if k, _ := r.recover(alice, "another password"); k != "sealed:K1" {
				t.Fatal("the new password does not work")
			}
			r.delete(alice, g.gen, "K1", "")
			if _, code := r.recover(alice, "another password"); code != wire.CodeDeleted {
				t.Fatalf("after the deletion: %q", code)
			}
		})
	}
}

func (r *rig) delete(account string, g wire.Generation, k string, want wire.Code) {
	r.Helper()
	sig := ed25519.Sign(owner(k), wire.DeleteStatement(r.fleet.ID, account, g))
	if _, _, code := r.first(wire.First{Token: r.vaultToken(account), Delete: &wire.Delete{Generation: g, Signature: sig}}); code != want {
		r.Fatalf("delete: %q, want %q", code, want)
	}
}

func TestTenWrongThenTheRightOne(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	before := r.hal.Evaluations()
	for i := range 10 {
		r.recover(alice, fmt.Sprintf("wrong password %d", i))
	}
	if _, code := r.recover(alice, right); code != wire.CodeExhausted {
		t.Fatalf("the eleventh: %q", code)
	}
	r.now += 120_001
	if _, code := r.recover(alice, right); code != wire.CodeDestroyed {
		// the tick that destroys may come with this very request
		if _, code = r.recover(alice, right); code != wire.CodeDestroyed {
			t.Fatalf("after the deadline: %q", code)
		}
	}
	must(t, r.start())
	if _, code := r.recover(alice, right); code != wire.CodeDestroyed {
		t.Fatalf("after a restart: %q", code)
	}
	if n := r.hal.Evaluations() - before; n != 10 {
		t.Fatalf("%d evaluations, want 10", n)
	}
}

func TestRightAtTheTenthAcrossARestart(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	for range 9 {
		r.recover(alice, "wrong password")
	}
	at := r.attempt(alice, right)
	a, exchange, _ := r.recoverStart(at)
	must(t, r.start()) // kill -9 between the trips
	r.now += 119_000
	ke3, session, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
	must(t, err)
	b, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	if code != "" || r.unseal(at, session, b) != "sealed:K1" || b.Status.Left != 10 {
		t.Fatalf("%q %+v", code, b)
	}
}

// TestDieAnywhere lets the box die at each place in turn where it can, through
// ten wrong guesses, retries included. Guesses are counted at the HSM.
func TestDieAnywhere(t *testing.T) {
	deaths := 0
	for at := 1; ; at++ {
		r := newRig(t, opaque.P256SHA256)
		r.register(alice, right, "K1")
		before := r.hal.Evaluations()
		acknowledged := 0
		r.dieAt = at
		for guess := 0; ; guess++ {
			code, acked := r.stubborn(alice, fmt.Sprintf("wrong password %d", guess))
			if acked {
				acknowledged++
			}
			if code == wire.CodeExhausted || code == wire.CodeDestroyed {
				break
			}
			if guess > 20 {
				t.Fatalf("death %d: guesses do not end", at)
			}
		}
		if n := r.hal.Evaluations() - before; n != 10 || acknowledged > 10 {
			t.Fatalf("death %d: %d evaluations, %d acknowledged, want 10", at, n, acknowledged)
		}
		if r.dieAt > 0 {
			break // it outlived the scenario: every place was tried
		}
		deaths++
		if at > 40 { // the first guesses, then every seventh place
			at += 6
		}
	}
	if deaths < 40 {
		t.Fatalf("only %d deaths", deaths)
	}
}

// stubborn is an honest client whose answers may be lost: it repeats the same
// slot and KE1 until it hears something.
func (r *rig) stubborn(account, password string) (wire.Code, bool) {
	r.Helper()
	at := r.attemptThroughDeath(account, password)
	for range 5 {
		a, _, code := r.recoverStart(at)
		if r.died {
			must(r.TB, r.start())
			continue
		}
		return code, a != nil && code == ""
	}
	r.Fatal("the box dies for ever")
	return "", false
}

func (r *rig) attemptThroughDeath(account, password string) *attempt {
	for range 5 {
		a, _, _ := r.first(wire.First{Token: r.vaultToken(account), Status: &wire.StatusRequest{}})
		if a == nil {
			must(r.TB, r.start())
			continue
		}
		ke1, login, err := r.client(account).StartLogin([]byte(password))
		must(r.TB, err)
		return &attempt{account, a.Status.Generation, a.Status.Slot + 1, ke1, login}
	}
	r.Fatal("the box dies for ever")
	return nil
}

func TestRetryIsFreeAndTheSame(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	at := r.attempt(alice, "wrong password")
	a, _, _ := r.recoverStart(at)
	evaluations := r.hal.Evaluations()
	for range 5 {
		must(t, r.start())
		b, _, code := r.recoverStart(at)
		if code != "" || !bytes.Equal(a.RecoverStart.KE2, b.RecoverStart.KE2) {
			t.Fatalf("a retry got another answer: %q", code)
		}
	}
	if r.hal.Evaluations() != evaluations || r.status(alice).Left != 9 {
		t.Fatal("a retry was a guess, or was charged")
	}
	other := r.attempt(alice, "another guess")
	other.slot = at.slot
	if _, _, code := r.recoverStart(other); code != wire.CodeSlot {
		t.Fatalf("another KE1 under the same slot: %q", code)
	}
	if r.hal.Evaluations() != evaluations {
		t.Fatal("it was evaluated")
	}
}

func TestFinishAgainForgivesNothingNew(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	at := r.attempt(alice, right)
	a, exchange, _ := r.recoverStart(at)
	ke3, session, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
	must(t, err)
	for i := range 4 {
		b, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
		if code != "" || r.unseal(at, session, b) != "sealed:K1" {
			t.Fatalf("finish %d: %q", i, code)
		}
		if b.Status.Wrong != uint32(i) {
			t.Fatalf("finish %d forgave a later guess: %+v", i, b.Status)
		}
		r.recover(alice, "wrong password")
	}
	bad := bytes.Clone(ke3)
	bad[0] ^= 1
	if _, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: bad}}); code != wire.CodeProof {
		t.Fatalf("a wrong proof: %q", code)
	}
	r.now += 120_001
	if _, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}}); code != wire.CodeTicket {
		t.Fatalf("an expired ticket: %q", code)
	}
}

func TestRegistrationOverALiveRecord(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	gen := r.register(alice, right, "K1")
	for range 3 {
		r.recover(alice, "wrong password")
	}
	thief := r.prepare(alice, "thief's password", "K2", nil)
	if _, code := r.finish(thief); code != wire.CodeOwner {
		t.Fatalf("without proof: %q", code)
	}
	thief = r.prepare(alice, "thief's password", "K2", &gen)
	thief.sign(r, alice, "K2")
	if _, code := r.finish(thief); code != wire.CodeOwner {
		t.Fatalf("signed by another key: %q", code)
	}
	if s := r.status(alice); s.Generation != gen || s.Wrong != 3 {
		t.Fatalf("the record changed: %+v", s)
	}
	// Two devices of the owner at once: the second must look again.
	one, two := r.prepare(alice, "password one", "K1", &gen), r.prepare(alice, "password two", "K1", &gen)
	one.sign(r, alice, "K1")
	two.sign(r, alice, "K1")
	if _, code := r.finish(one); code != "" {
		t.Fatalf("first device: %q", code)
	}
	if _, code := r.finish(two); code != wire.CodeReplaces {
		t.Fatalf("second device: %q", code)
	}
	if _, code := r.finish(one); code != "" {
		t.Fatalf("a retry of the first: %q", code)
	}
}

// A registration that somebody on the path kept can not bring back what was
// deleted or replaced since.
func TestReplayedRegistrationIsVoid(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	kept := r.prepare(alice, right, "K1", nil)
	if _, code := r.finish(kept); code != "" {
		t.Fatal(code)
	}
	r.delete(alice, kept.gen, "K1", "")
	if _, code := r.finish(kept); code != wire.CodeReplaces {
		t.Fatalf("after the deletion: %q", code)
	}
	r.register(alice, right, "K3")
	r.delete(alice, kept.gen, "K1", wire.CodeGeneration)
	if _, code := r.finish(kept); code == "" {
		t.Fatal("over a newer registration")
	}
}

func TestDeleteNeedsTheOwner(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	gen := r.register(alice, right, "K1")
	r.delete(alice, gen, "K2", wire.CodeOwner)
	r.delete("bob@example", gen, "K1", wire.CodeNoRecord)
	r.delete(alice, wire.Generation{1}, "K1", wire.CodeGeneration)
	if r.status(alice).State != wire.StateLive {
		t.Fatal("deleted")
	}
	r.delete(alice, gen, "K1", "")
	r.delete(alice, gen, "K1", "") // a retry
}

func TestTokens(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	entries := len(r.Written)
	for name, jws := range map[string]string{
		"the relay's token": r.token(alice, token.AudienceRelay), "another fleet's": r.token(alice, "00"), "none": "x.y.z",
	} {
		if _, _, code := r.first(wire.First{Token: jws, Status: &wire.StatusRequest{}}); code != wire.CodeToken {
			t.Errorf("%s: %q", name, code)
		}
	}
	expired := r.vaultToken(alice)
	r.now += 3700_000
	if _, _, code := r.first(wire.First{Token: expired, Status: &wire.StatusRequest{}}); code != wire.CodeToken {
		t.Errorf("expired: %q", code)
	}
	if _, code := r.recover("bob@example", right); code != wire.CodeNoRecord {
		t.Errorf("another account: %q", code)
	}
	if len(r.Written) != entries {
		t.Error("the log grew")
	}
}

func TestBadPointsAreNotCharged(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	entries, evaluations := len(r.Written), r.hal.Evaluations()
	for i := range 3 {
		at := r.attempt(alice, right)
		switch i {
		case 0:
			at.ke1[0] = 9
		case 1:
			at.ke1 = at.ke1[:len(at.ke1)-1]
		case 2:
			copy(at.ke1, make([]byte, 33))
		}
		if _, _, code := r.recoverStart(at); code != wire.CodeMalformed {
			t.Errorf("bad KE1 %d: %q", i, code)
		}
	}
	if _, _, code := r.first(wire.First{Token: r.vaultToken(alice), RegisterStart: &wire.RegisterStart{Request: make([]byte, 33)}}); code != wire.CodeMalformed {
		t.Errorf("bad registration request: %q", code)
	}
	g := r.prepare("carol@example", right, "K1", nil)
	g.finish.Record[0] = 9
	if _, code := r.finish(g); code != wire.CodeMalformed {
		t.Errorf("bad record: %q", code)
	}
	g = r.prepare("carol@example", right, "K1", nil)
	g.finish.Transcript[0] ^= 1
	if _, code := r.finish(g); code != wire.CodeTranscript {
		t.Errorf("bad transcript: %q", code)
	}
	if len(r.Written) != entries || r.hal.Evaluations() != evaluations+2 { // carol's two RegisterStarts
		t.Error("state changed")
	}
}

// TestHostileHost: what a thief of the host can do to its files, the box
// refuses to start with.
func TestHostileHost(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	for range 4 {
		r.recover(alice, "wrong password")
	}
	whole := r.Written
	for cut := range whole {
		r.Written = whole[:cut]
		if err := r.start(); !errors.Is(err, ledger.ErrRollback) {
			t.Fatalf("the log cut to %d entries: %v", cut, err)
		}
	}
	r.Written = slices.Delete(slices.Clone(whole), 1, 2)
	if err := r.start(); !errors.Is(err, ledger.ErrEntry) {
		t.Fatalf("an entry taken out: %v", err)
	}
	r.Written = whole

	honest := r.document
	generous := *r.fleet
	generous.Policy.Attempts = 9
	document, err := generous.Encode()
	must(t, err)
	r.document = document
	if err := r.start(); !errors.Is(err, vault.ErrIsland) {
		t.Fatalf("another policy: %v", err)
	}
	generous = *r.fleet
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	generous.Issuers = []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}}
	r.document, err = generous.Encode()
	must(t, err)
	if err := r.start(); !errors.Is(err, vault.ErrIsland) {
		t.Fatalf("another issuer: %v", err)
	}
	r.document = honest
	must(t, r.start())
	if s := r.status(alice); s.Left != 6 {
		t.Fatalf("%+v", s)
	}
}

// An entry that the host never made durable changes nothing and lets nothing
// out.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	at := r.attempt(alice, right)
	evaluations := r.hal.Evaluations()
	sealed := r.sealedRecoverStart(at)
	o := r.vault.Step(vault.Input{In: wire.In{NowMillis: r.now, Requests: []wire.Request{{ID: 99, Sealed: sealed}}}})
	o = r.vault.Step(vault.Input{Done: []vault.Result{o.Jobs[0].Run(r.hal)}})
	if len(o.Append) != 1 || len(o.Jobs) != 0 || o.Anchor != nil || len(o.Replies) != 0 {
		t.Fatalf("before the fsync: %d entries, %d jobs, %d replies", len(o.Append), len(o.Jobs), len(o.Replies))
	}
	// A host that takes its time over the fsync: an anchor before it would
	// refuse the log after a power cut.
	if o := r.vault.Step(vault.Input{In: wire.In{NowMillis: r.now + 1}}); o.Anchor != nil || len(o.Jobs) != 0 || len(o.Replies) != 0 {
		t.Fatal("a Step later, still before the fsync: an anchor, an evaluation or an answer")
	}
	o = r.vault.Step(vault.Input{In: wire.In{Durable: o.Append[0].Index}})
	if o.Anchor == nil || len(o.Jobs) != 0 || len(o.Replies) != 0 {
		t.Fatal("after the fsync, before the anchor: an evaluation or an answer")
	}
	o = r.vault.Step(vault.Input{Done: []vault.Result{o.Anchor.Run(r.hal)}})
	if len(o.Jobs) != 1 || r.hal.Evaluations() != evaluations {
		t.Fatalf("after the anchor: %d jobs", len(o.Jobs))
	}
}

// A ticket travels in clear beside the sealed second trip: its length must not
// tell a registration from a recovery, nor one account from another.
func TestTicketsHaveOneLength(t *testing.T) {
	lengths := map[int]bool{}
	for _, suite := range []*opaque.Suite{opaque.P256SHA256, opaque.Ristretto255SHA512} {
		r := newRig(t, suite)
		for _, account := range []string{"a", strings.Repeat("a", wire.AccountBytesMax)} {
			g := r.prepare(account, right, "K1", nil)
			lengths[len(g.ticket)] = true
			if _, code := r.finish(g); code != "" {
				t.Fatal(code)
			}
			a, _, code := r.recoverStart(r.attempt(account, right))
			if code != "" {
				t.Fatal(code)
			}
			lengths[len(a.RecoverStart.Ticket)] = true
		}
	}
	if len(lengths) != 1 {
		t.Fatalf("lengths of tickets: %v", lengths)
	}
}

// silent is an HSM that has gone.
type silent struct{ hal.HAL }

func (silent) Multiply(string, []byte) ([]byte, error)  { return nil, hal.ErrGone }
func (silent) MultiplyX(string, []byte) ([]byte, error) { return nil, hal.ErrGone }
func (silent) MultiplyWrapped(hal.Group, []byte, []byte) ([]byte, error) {
	return nil, hal.ErrGone
}

// A vault whose HSM is silent says that it can not serve, not that the
// client's seal or fleet document is wrong: else people would be told to
// doubt their pin.
func TestSilentHSMIsUnavailable(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	entries := len(r.Written)
	r.hal.HAL = silent{r.hal.HAL}
	must(t, r.start()) // it opened before the HSM went
	if reply := r.post(r.sealedRecoverStart(&attempt{alice, wire.Generation{}, 1, make([]byte, 98), nil})); reply.Refused != wire.CodeUnavailable {
		t.Errorf("%+v", reply)
	}
	if len(r.Written) != entries {
		t.Error("the log grew")
	}
}
