package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// cheap keeps the password's stretch out of the tests' time.
var cheap = wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}

const (
	right   = "four quiet otters"
	another = "five loud herons"
	account = "anna"
)

// rig is a real vault behind a real relay, with an HSM that counts.
type rig struct {
	url     string
	pin     bundle.Pin
	counter *hsmtest.Counter
	issuer  ed25519.PrivateKey
	fleet   *bundle.Fleet
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigUnder(t, bundle.Policy{Attempts: 10, TicketMillis: 120_000})
}

func newRigUnder(t *testing.T, policy bundle.Policy) *rig {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	issuer, err := token.IssuerOf("test", public)
	must(t, err)
	h, err := soft.Create(t.TempDir(), []byte("passphrase"), soft.Cheap)
	must(t, err)
	document, island, err := vault.Make(h, vault.Founding{
		Suite: opaque.P256SHA256, Policy: policy,
		Issuers: []bundle.Issuer{issuer}, Isolation: "none", Rollback: "file",
	})
	must(t, err)
	fleet, err := bundle.Decode(document)
	must(t, err)
	r := &rig{pin: bundle.PinOf(document), counter: hsmtest.NewCounter(h), issuer: private, fleet: fleet}
	log, err := node.OpenStore(t.TempDir(), t.TempDir(), nil)
	must(t, err)
	b, err := box.Open(box.Config{HAL: r.counter, Rand: rand.Reader, Document: document, Island: island, Disk: log})
	must(t, err)
	n := node.New(node.Config{Box: b, Store: log})
	front := relay.New(relay.Config{
		Document: document, Issuers: fleet.Issuers, Vault: func(ctx context.Context, r relay.Request) (wire.Reply, error) { return n.Do(ctx, r.Sealed) }, Healthy: n.Err, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		AddressRate: relay.Rate{PerSecond: 1e6, Burst: 1e6}, AccountRate: relay.Rate{PerSecond: 1e6, Burst: 1e6},
	})
	server := httptest.NewServer(front)
	r.url = server.URL
	t.Cleanup(func() { server.Close(); n.Close(); b.Close(); _ = log.Close(); _ = h.Close() })
	return r
}

// vault is a client of this rig; through, when not nil, is what its requests
// pass.
func (r *rig) vault(t *testing.T, through http.RoundTripper) *client.Vault {
	t.Helper()
	return r.vaultOf(t, account, through)
}

func (r *rig) vaultOf(t *testing.T, account string, through http.RoundTripper) *client.Vault {
	t.Helper()
	return &client.Vault{
		URL: r.url, Pin: r.pin, Account: account, Tokens: r.tokensOf(t, account, time.Now().Add(time.Hour)),
		HTTP: &http.Client{Transport: through}, Stretch: cheap, Backoff: time.Millisecond,
	}
}

func (r *rig) tokens(t *testing.T, expires time.Time) client.Tokens {
	t.Helper()
	return r.tokensOf(t, account, expires)
}

func (r *rig) tokensOf(t *testing.T, account string, expires time.Time) client.Tokens {
	t.Helper()
	issue := func(audience string) string {
		jws, err := token.Issue(token.Claims{Account: account, Audience: audience, IssuedUnix: expires.Unix() - 3600, ExpiresUnix: expires.Unix(), ID: audience}, "test", r.issuer)
		must(t, err)
		return jws
	}
	return client.Tokens{Account: account, Relay: issue(token.AudienceRelay), Vault: issue(hex.EncodeToString(r.fleet.ID[:]))}
}

func payload() client.Payload {
	return client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errLine = errors.New("the line broke")

// line is a network that breaks: it counts posts, and of post number drop
// (from 1) it loses the answer, or the request when early is set.
type line struct {
	mu    sync.Mutex
	posts int
	drop  func(post int) bool
	early bool
	hurt  func([]byte) []byte // changes an answer, may be nil
}

func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost {
		return http.DefaultTransport.RoundTrip(req)
	}
	l.mu.Lock()
	l.posts++
	lost := l.drop != nil && l.drop(l.posts)
	l.mu.Unlock()
	if lost && l.early {
		return nil, errLine
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !lost {
		return res, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return nil, errors.Join(errLine, err, res.Body.Close())
}

func (l *line) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posts
}

// within bounds a whole test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
