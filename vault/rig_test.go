package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
)

// rig is one box with its host, stepped by hand: the test decides what becomes
// durable and when the box dies.
type rig struct {
	testing.TB
	hal      *hsmtest.Counter
	document []byte
	island   []byte
	fleet    *bundle.Fleet
	issuer   ed25519.PrivateKey

	vault *vault.Vault
	*disk.Disk
	durable uint64
	now     uint64
	nextID  uint64

	asksEpoch bool          // in the next turn
	shows     *wire.Layouts // the same

	// dieAt, when positive, counts down the places at which a box can die; at
	// zero everything in memory is gone.
	dieAt int
	died  bool

	operator *channel.AlertReader // nil: a fleet without alerts
	alerts   []wire.SealedAlerts  // what the host has on its disk
	alerted  uint64               // what it says of that
	deaf     bool                 // it does not keep them
	stopping bool

	// ask is how an island of several boxes is asked; nil: there is one.
	ask func(sealed []byte) *wire.Reply

	known *wire.StatusReport // of the benchmark's account
	// serving and served are called around the box's work on each request.
	serving, served func()
}

var stretch = wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}

func newRig(t testing.TB, suite *opaque.Suite) *rig {
	t.Helper()
	return newRigUnder(t, suite, bundle.Policy{Attempts: 10, TicketMillis: 120_000})
}

func newRigUnder(t testing.TB, suite *opaque.Suite, policy bundle.Policy) *rig {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	r := &rig{TB: t, hal: hsmtest.NewCounter(h), Disk: disk.New(), issuer: private, now: 1_700_000_000_000, serving: func() {}, served: func() {}}
	key, err := hpke.MLKEM768P256().GenerateKey()
	must(t, err)
	r.document, r.island, err = vault.Make(r.hal, vault.Founding{
		Suite: suite, Policy: policy,
		Issuers:   []bundle.Issuer{{ID: "test", Alg: "EdDSA", Key: public}},
		Isolation: "none", Rollback: "file", Alert: key.PublicKey().Bytes(),
	})
	must(t, err)
	r.fleet, err = bundle.Decode(r.document)
	must(t, err)
	r.operator = channel.NewAlertReader(key, r.fleet.ID)
	must(t, r.start())
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start opens the box from what is durable.
func (r *rig) start() error {
	v, err := vault.Open(r.hal, rand.Reader, r.document, r.island, r.Disk)
	if err != nil {
		return err
	}
	r.vault, r.durable, r.died = v, uint64(len(r.Written)), false
	return nil
}

// die is called wherever power may fail; it tells whether it did.
func (r *rig) die() bool {
	if r.died {
		return true
	}
	if r.dieAt > 0 {
		r.dieAt--
		r.died = r.dieAt == 0
	}
	return r.died
}

// turn runs the box until it has nothing more to do, and gives its replies.
func (r *rig) turn(requests ...wire.Request) map[uint64]wire.Reply {
	r.Helper()
	replies := map[uint64]wire.Reply{}
	in := vault.Input{In: wire.In{NowMillis: r.now, Requests: requests, Epoch: r.asksEpoch, Layouts: r.shows}}
	r.asksEpoch, r.shows = false, nil
	for {
		in.Durable, in.Alerted, in.Stopping = r.durable, r.alerted, r.stopping
		o := r.vault.Step(in)
		must(r.TB, o.Fatal)
		in = vault.Input{In: wire.In{NowMillis: r.now}}
		if len(o.Alerts) > 0 {
			if r.die() {
				return replies
			}
			r.alerts = append(r.alerts, o.Alerts...)
			if !r.deaf {
				r.alerted = o.Alerts[len(o.Alerts)-1].Index
			}
		}
		for _, reply := range o.Replies {
			if r.die() {
				return replies
			}
			replies[reply.ID] = reply
		}
		if r.die() {
			return replies
		}
		r.Written = append(r.Written, o.Append...)
		r.durable = uint64(len(r.Written))
		if o.Checkpoint != nil && r.die() {
			return replies
		}
		r.Serve(o.Out, &in.In)
		for _, job := range append(o.Jobs, o.Anchor) {
			if job == nil {
				continue
			}
			if r.die() {
				return replies
			}
			in.Done = append(in.Done, job.Run(r.hal))
		}
		if len(in.Done) == 0 && len(in.Found) == 0 && len(o.Append) == 0 && o.Checkpoint == nil {
			return replies
		}
	}
}

// post is the client's half of HTTP: nil when the answer was lost.
func (r *rig) post(sealed []byte) *wire.Reply {
	r.Helper()
	if r.ask != nil {
		return r.ask(sealed)
	}
	r.nextID++
	r.serving()
	reply, ok := r.turn(wire.Request{ID: r.nextID, Sealed: bytes.Clone(sealed)})[r.nextID]
	r.served()
	if !ok {
		if !r.died {
			r.Fatal("no reply")
		}
		return nil
	}
	return &reply
}

func (r *rig) token(account, audience string) string {
	r.Helper()
	jws, err := token.Issue(token.Claims{
		Account: account, Audience: audience, IssuedUnix: int64(r.now / 1000), ExpiresUnix: int64(r.now/1000) + 3600, ID: "t",
	}, "test", r.issuer)
	must(r.TB, err)
	return jws
}

func (r *rig) vaultToken(account string) string {
	return r.token(account, hex.EncodeToString(r.fleet.ID[:]))
}

// first makes a first trip. A nil answer means it was lost or refused in
// clear, with that code.
func (r *rig) first(f wire.First) (*wire.Answer, *channel.Exchange, wire.Code) {
	r.Helper()
	f.Version = wire.Version
	plaintext, err := wire.Encode(f)
	must(r.TB, err)
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.TB, err)
	sealed, exchange, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.TB, err)
	a, code := r.open(r.post(sealed), exchange)
	return a, exchange, code
}

func (r *rig) second(exchange *channel.Exchange, ticket []byte, s wire.Second) (*wire.Answer, wire.Code) {
	r.Helper()
	s.Version = wire.Version
	plaintext, err := wire.Encode(s)
	must(r.TB, err)
	sealed, answers, err := exchange.SealSecond(ticket, plaintext)
	must(r.TB, err)
	return r.open(r.post(sealed), answers)
}

func (r *rig) open(reply *wire.Reply, exchange *channel.Exchange) (*wire.Answer, wire.Code) {
	r.Helper()
	if reply == nil || reply.Refused != "" {
		if reply == nil {
			return nil, ""
		}
		return nil, reply.Refused
	}
	plaintext, err := exchange.OpenAnswer(reply.Sealed)
	must(r.TB, err)
	a, err := wire.DecodeAnswer(plaintext)
	must(r.TB, err)
	return a, a.Refused
}

func (r *rig) status(account string) *wire.StatusReport {
	r.Helper()
	a, _, code := r.first(wire.First{Token: r.vaultToken(account), Status: &wire.StatusRequest{}})
	if a == nil || code != "" {
		r.Fatalf("status: %q", code)
	}
	return a.Status
}

func (r *rig) client(account string) *opaque.Client {
	suite, err := opaque.SuiteByID(r.fleet.Suite)
	must(r.TB, err)
	return &opaque.Client{
		Suite: suite, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte(account), ServerIdentity: r.fleet.ID[:],
	}
}

func argon() opaque.Argon2id {
	return opaque.Argon2id{Time: stretch.Time, MemoryKiB: stretch.MemoryKiB, Threads: stretch.Threads}
}

// owner is the key pair that a client derives from its K.
func owner(k string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(k))
	return ed25519.NewKeyFromSeed(seed[:])
}

// registration is a RegisterFinish that is ready to be sent.
type registration struct {
	exchange *channel.Exchange
	ticket   []byte
	finish   *wire.RegisterFinish
	export   []byte
	gen      wire.Generation
}

// prepare makes a registration's first trip and its finish, unsigned. Nil
// when the box died.
func (r *rig) prepare(account, password, k string, replaces *wire.Generation) *registration {
	r.Helper()
	request, state, err := r.client(account).StartRegistration([]byte(password))
	must(r.TB, err)
	a, exchange, code := r.first(wire.First{Token: r.vaultToken(account), RegisterStart: &wire.RegisterStart{Request: request}})
	if a == nil {
		return nil
	}
	if code != "" {
		r.Fatalf("RegisterStart: %q", code)
	}
	s := a.RegisterStart
	opaqueRecord, export, err := state.Finish(s.Response, argon())
	must(r.TB, err)
	f := &wire.RegisterFinish{
		Transcript: s.Transcript(request),
		Record:     opaqueRecord, SealedKey: []byte("sealed:" + k), Stretch: stretch, Replaces: replaces,
	}
	copy(f.Owner[:], owner(k).Public().(ed25519.PublicKey))
	return &registration{exchange, s.Ticket, f, export, s.Generation}
}

func (g *registration) sign(r *rig, account, k string) {
	g.finish.Signature = ed25519.Sign(owner(k), g.finish.Statement(r.fleet.ID, account, g.gen))
}

func (r *rig) finish(g *registration) (*wire.Answer, wire.Code) {
	r.Helper()
	return r.second(g.exchange, g.ticket, wire.Second{RegisterFinish: g.finish})
}

func (r *rig) register(account, password, k string) wire.Generation {
	r.Helper()
	g := r.prepare(account, password, k, nil)
	if _, code := r.finish(g); code != "" {
		r.Fatalf("register: %q", code)
	}
	return g.gen
}

// attempt is a login under way.
type attempt struct {
	account string
	gen     wire.Generation
	slot    uint64
	ke1     []byte
	login   *opaque.Login
}

func (r *rig) attempt(account, password string) *attempt {
	r.Helper()
	s := r.status(account)
	ke1, login, err := r.client(account).StartLogin([]byte(password))
	must(r.TB, err)
	return &attempt{account, s.Generation, s.Slot + 1, ke1, login}
}

// nextAttempt asks no status: it knows where the account stands.
func (r *rig) nextAttempt(account, password string) *attempt {
	r.Helper()
	if r.known == nil {
		r.known = r.status(account)
	}
	r.known.Slot++
	ke1, login, err := r.client(account).StartLogin([]byte(password))
	must(r.TB, err)
	return &attempt{account, r.known.Generation, r.known.Slot, ke1, login}
}

func (r *rig) recoverStart(a *attempt) (*wire.Answer, *channel.Exchange, wire.Code) {
	r.Helper()
	return r.first(wire.First{Token: r.vaultToken(a.account), RecoverStart: &wire.RecoverStart{
		Generation: a.gen, Slot: a.slot, KE1: a.ke1,
	}})
}

// recover tries a password to the end: the sealed key, or "" for a wrong
// password or a refusal.
func (r *rig) recover(account, password string) (string, wire.Code) {
	r.Helper()
	at := r.attempt(account, password)
	a, exchange, code := r.recoverStart(at)
	if a == nil || code != "" {
		return "", code
	}
	ke3, session, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
	if err != nil {
		return "", "" // the client knows: wrong password
	}
	b, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	if b == nil || code != "" {
		return "", code
	}
	return r.unseal(at, session, b), ""
}

func (r *rig) unseal(at *attempt, session []byte, b *wire.Answer) string {
	r.Helper()
	p, err := channel.OpenUnderSession(session, r.fleet.ID, at.account, at.gen, at.slot, b.RecoverFinish.SealedKey)
	must(r.TB, err)
	return string(p)
}

func (r *rig) sealedRecoverStart(a *attempt) []byte {
	r.Helper()
	plaintext, err := wire.Encode(wire.First{Version: wire.Version, Token: r.vaultToken(a.account), RecoverStart: &wire.RecoverStart{
		Generation: a.gen, Slot: a.slot, KE1: a.ke1,
	}})
	must(r.TB, err)
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.TB, err)
	sealed, _, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.TB, err)
	return sealed
}
