package box

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"testing"

	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// failing is an HSM whose durable memory can break.
type failing struct {
	hal.HAL
	broken chan struct{} // closed: broken
}

var errMemory = errors.New("the memory is gone")

func (f failing) WriteMemory(p []byte) error {
	select {
	case <-f.broken:
		return errMemory
	default:
		return f.HAL.WriteMemory(p)
	}
}

type rig struct {
	t       *testing.T
	hal     failing
	fleet   *bundle.Fleet
	private ed25519.PrivateKey
	config  Config
}

const now = 1_700_000_000_000

func newRig(t *testing.T) *rig {
	t.Helper()
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	r := &rig{t: t, hal: failing{h, make(chan struct{})}, private: private}
	r.config = Config{HAL: r.hal, Rand: rand.Reader, Disk: disk.New()}
	r.config.Document, r.config.Island, err = vault.Make(r.hal, vault.Founding{
		Suite: opaque.P256SHA256, Policy: bundle.Policy{Attempts: 10, TicketMillis: 120_000},
		Issuers: []bundle.Issuer{{ID: "t", Alg: bundle.EdDSA, Key: public}}, Isolation: "none", Rollback: "file",
	})
	must(t, err)
	r.fleet, err = bundle.Decode(r.config.Document)
	must(t, err)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// seal seals a first trip for an account.
func (r *rig) seal(account string, f wire.First) ([]byte, *channel.Exchange) {
	r.t.Helper()
	var err error
	f.Version = wire.Version
	f.Token, err = token.Issue(token.Claims{
		Account: account, Audience: hex.EncodeToString(r.fleet.ID[:]), IssuedUnix: now / 1000, ExpiresUnix: now/1000 + 60,
	}, "t", r.private)
	must(r.t, err)
	plaintext, err := wire.Encode(f)
	must(r.t, err)
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.t, err)
	sealed, e, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.t, err)
	return sealed, e
}

// TestManyAtOnce floods the loop: every request is answered, each by its own
// answer.
func TestManyAtOnce(t *testing.T) {
	const requests = 400
	r := newRig(t)
	b, err := Open(r.config)
	must(t, err)
	defer b.Close()

	exchanges := make([]*channel.Exchange, requests)
	var all sync.WaitGroup
	for i := range requests {
		sealed, e := r.seal("anna", wire.First{Status: &wire.StatusRequest{}})
		exchanges[i] = e
		all.Go(func() {
			b.In(wire.In{NowMillis: now, Requests: []wire.Request{{ID: uint64(i), Sealed: sealed}}})
		})
	}
	answered := map[uint64]bool{}
	for len(answered) < requests {
		for _, reply := range (<-b.Out()).Replies {
			if _, err := exchanges[reply.ID].OpenAnswer(reply.Sealed); err != nil || answered[reply.ID] {
				t.Fatalf("request %d: %v, answered before: %v", reply.ID, err, answered[reply.ID])
			}
			answered[reply.ID] = true
		}
	}
	all.Wait()
}

// registration makes a registration's first trip through answer, and gives
// the sealed second one.
func (r *rig) registration(answer func(sealed []byte) []byte) []byte {
	r.t.Helper()
	suite := opaque.P256SHA256
	c := &opaque.Client{Suite: suite, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte("anna"), ServerIdentity: r.fleet.ID[:]}
	request, state, err := c.StartRegistration([]byte("a password"))
	must(r.t, err)
	sealed, e := r.seal("anna", wire.First{RegisterStart: &wire.RegisterStart{Request: request}})
	plaintext, err := e.OpenAnswer(answer(sealed))
	must(r.t, err)
	a, err := wire.DecodeAnswer(plaintext)
	must(r.t, err)

	record, _, err := state.Finish(a.RegisterStart.Response, opaque.Argon2id{Time: 1, MemoryKiB: 8, Threads: 1})
	must(r.t, err)
	finish := wire.RegisterFinish{Record: record, SealedKey: []byte("k"), Stretch: wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}}
	finish.Transcript = a.RegisterStart.Transcript(request)
	plaintext, err = wire.Encode(wire.Second{Version: wire.Version, RegisterFinish: &finish})
	must(r.t, err)
	second, _, err := e.SealSecond(a.RegisterStart.Ticket, plaintext)
	must(r.t, err)
	return second
}

// TestBrokenMemoryStopsTheBox: when the anchor can not be written nothing more
// is said, and whoever waits at the door is let go.
func TestBrokenMemoryStopsTheBox(t *testing.T) {
	r := newRig(t)
	b, err := Open(r.config)
	must(t, err)
	if b.Err() != nil {
		t.Fatal("an error while it runs")
	}
	second := r.registration(func(sealed []byte) []byte {
		b.In(wire.In{NowMillis: now, Requests: []wire.Request{{ID: 1, Sealed: sealed}}})
		return (<-b.Out()).Replies[0].Sealed
	})
	b.In(wire.In{NowMillis: now, Requests: []wire.Request{{ID: 2, Sealed: second}}})
	out := <-b.Out()
	if len(out.Append) != 1 || len(out.Replies) != 0 {
		t.Fatalf("%d entries, %d replies", len(out.Append), len(out.Replies))
	}
	close(r.hal.broken)
	b.In(wire.In{NowMillis: now, Durable: out.Append[0].Index})
	<-b.Done()
	if !errors.Is(b.Err(), errMemory) {
		t.Fatalf("stopped by %v", b.Err())
	}
	b.In(wire.In{NowMillis: now}) // does not hang
	b.Close()
}

func TestClose(t *testing.T) {
	b, err := Open(newRig(t).config)
	must(t, err)
	b.Close()
	b.Close()
	if !errors.Is(b.Err(), ErrClosed) {
		t.Fatal(b.Err())
	}
}
