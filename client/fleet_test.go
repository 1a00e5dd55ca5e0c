package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/box"
	"strongroom/client"
	"strongroom/host/node"
	"strongroom/host/relay"
	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/opaque"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
	"strongroom/vault"
)

// fleet is several real islands of one box behind one relay.
type fleet struct {
	rig       // of the founder, and of all clients
	custodian ed25519.PrivateKey
	islands   []*isle // the founder first
	checked   *bundle.Layouts

	mu    sync.Mutex // guards what follows: the relay reads it
	shown *wire.Layouts
	quiet *isle // answers nobody
}

func (f *fleet) silence(i *isle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.quiet = i
}

func (f *fleet) isQuiet(i *isle) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.quiet == i
}

// show is what the relay shows; nil: nothing has changed.
func (f *fleet) show(l *wire.Layouts) *wire.Layouts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l != nil {
		f.shown = l
	}
	return f.shown
}

type isle struct {
	document []byte
	pin      bundle.Pin
	counter  *hsmtest.Counter
	node     *node.Node
}

// newFleet has so many islands; layout 0 names the founder alone.
func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	return newFleetUnder(t, n, 24*60*60*1000)
}

func newFleetUnder(t *testing.T, n int, resetMillis uint64) *fleet {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	custodian, signing, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	issuer, err := token.IssuerOf("test", public)
	must(t, err)
	founding := vault.Founding{
		Suite: opaque.P256SHA256, Issuers: []bundle.Issuer{issuer}, Isolation: "none", Rollback: "file",
		Policy:     bundle.Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 100, ResetMillis: resetMillis},
		Custodians: [][]byte{custodian}, Quorum: 1,
	}
	f := &fleet{custodian: signing}
	for range n {
		i := newIsle(t, founding)
		f.islands = append(f.islands, i)
		founding.Founder = f.islands[0].document
	}
	shown := &wire.Layouts{Founder: f.islands[0].document}
	for _, i := range f.islands[1:] {
		shown.Islands = append(shown.Islands, i.document)
	}
	f.show(shown)
	f.check(t)
	f.pin, f.issuer, f.counter = f.islands[0].pin, private, f.islands[0].counter
	f.rig.fleet, _ = f.checked.Island(f.pin)
	f.front(t)
	return f
}

func newIsle(t *testing.T, founding vault.Founding) *isle {
	t.Helper()
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	i := &isle{counter: hsmtest.NewCounter(h)}
	var keys []byte
	i.document, keys, err = vault.Make(h, founding)
	must(t, err)
	i.pin = bundle.PinOf(i.document)
	log, err := node.OpenStore(t.TempDir(), t.TempDir(), nil)
	must(t, err)
	b, err := box.Open(box.Config{HAL: i.counter, Rand: rand.Reader, Document: i.document, Island: keys, Disk: log})
	must(t, err)
	i.node = node.New(node.Config{Box: b, Store: log})
	t.Cleanup(func() { i.node.Close(); b.Close(); _ = log.Close(); _ = h.Close() })
	return i
}

// front is the relay before all of them.
func (f *fleet) front(t *testing.T) {
	t.Helper()
	vaults := map[string]relay.Vault{}
	for _, i := range f.islands {
		vaults[i.pin.IslandName()] = func(ctx context.Context, r relay.Request) (wire.Reply, error) {
			if f.isQuiet(i) {
				return wire.Reply{}, relay.ErrDown
			}
			return i.node.Do(ctx, r.Sealed)
		}
	}
	founder := f.islands[0].pin.IslandName()
	server := httptest.NewServer(relay.New(relay.Config{
		Document: f.islands[0].document, Issuers: f.rig.fleet.Issuers, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Vault: vaults[founder], Islands: vaults,
		Layouts: func() []byte {
			b, err := wire.Encode(f.show(nil))
			if err != nil {
				t.Error(err)
			}
			return b
		},
		AddressRate: relay.Rate{PerSecond: 1e6, Burst: 1e6}, AccountRate: relay.Rate{PerSecond: 1e6, Burst: 1e6},
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
}

func (f *fleet) check(t *testing.T) {
	t.Helper()
	var err error
	f.checked, err = bundle.CheckLayouts(*f.show(nil))
	must(t, err)
}

// layout is the next one, of these islands, which every island then knows.
func (f *fleet) layout(t *testing.T, places ...int) {
	t.Helper()
	f.sign(t, places...)
	for _, i := range f.islands {
		f.tell(t, i)
	}
}

// sign makes the next layout, which nobody was told of yet but the relay.
func (f *fleet) sign(t *testing.T, places ...int) {
	t.Helper()
	newest := f.checked.Newest()
	l := bundle.Layout{Fleet: f.rig.fleet.ID, Number: newest + 1, Before: f.checked.Digest(newest)}
	for _, place := range places {
		l.Islands = append(l.Islands, f.islands[place].pin)
	}
	slices.SortFunc(l.Islands, func(a, b bundle.Pin) int { return bytes.Compare(a[:], b[:]) })
	statement, err := l.Statement()
	must(t, err)
	l.Signatures = []bundle.OrderSignature{{Signature: ed25519.Sign(f.custodian, statement)}}
	encoded, err := l.Encode()
	must(t, err)
	shown := *f.show(nil)
	shown.Layouts = append(slices.Clone(shown.Layouts), encoded)
	f.show(&shown)
	f.check(t)
}

// tell has an island know the newest layout, and waits until it does.
func (f *fleet) tell(t *testing.T, i *isle) {
	t.Helper()
	i.node.Layouts(f.show(nil))
	for f.at(t, i, "somebody").Layout < f.checked.Newest() {
		if t.Context().Err() != nil {
			t.Fatal("the island was told of a layout and does not know it")
		}
		time.Sleep(time.Millisecond)
	}
}

// at is an account's status at one island, whatever its home is.
func (f *fleet) at(t *testing.T, i *isle, account string) wire.StatusReport {
	t.Helper()
	status, err := client.StatusAt(within(t), f.vaultOf(t, account, nil), f.checked, i.pin)
	must(t, err)
	return status
}

// boundFor gives n accounts whose home is an island in the layout of them all.
func (f *fleet) boundFor(place, n int) (accounts []string) {
	for number := 0; len(accounts) < n; number++ {
		name := fmt.Sprint("account ", number)
		if f.home(name) == place {
			accounts = append(accounts, name)
		}
	}
	return accounts
}

// home is by spec/layout.md: the island of the highest hash of all.
func (f *fleet) home(account string) (place int) {
	var highest [sha256.Size]byte
	for n, i := range f.islands {
		hash := sha256.Sum256(slices.Concat([]byte("strongroom/v1/home"), i.pin[:], []byte(account)))
		if bytes.Compare(hash[:], highest[:]) > 0 {
			place, highest = n, hash
		}
	}
	return place
}

// evaluations is how many guesses all HSMs evaluated.
func (f *fleet) evaluations() (n int) {
	for _, i := range f.islands {
		n += i.counter.Evaluations()
	}
	return n
}
