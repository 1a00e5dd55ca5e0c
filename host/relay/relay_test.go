package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
)

var clock = time.Unix(1_800_000_000, 0)

// rig is a relay before a vault that answers what it was sent.
type rig struct {
	*Relay
	key   ed25519.PrivateKey
	calls int // what reached the vault: the oracle of every refusal
	reply func(context.Context, []byte) (wire.Reply, error)
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{key: private, reply: func(_ context.Context, b []byte) (wire.Reply, error) { return wire.Reply{Sealed: b}, nil }}
	c.Issuers = []bundle.Issuer{{ID: "service", Alg: bundle.EdDSA, Key: public}}
	c.Document = []byte("the document")
	c.Now = func() time.Time { return clock }
	c.Vault = func(ctx context.Context, r Request) (wire.Reply, error) {
		g.calls++
		return g.reply(ctx, r.Sealed)
	}
	g.Relay = New(c)
	return g
}

func (g *rig) token(t *testing.T, account string, change func(*token.Claims)) string {
	t.Helper()
	claims := token.Claims{Account: account, Audience: token.AudienceRelay, IssuedUnix: clock.Unix(), ExpiresUnix: clock.Unix() + 3600}
	if change != nil {
		change(&claims)
	}
	jws, err := token.Issue(claims, "service", g.key)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

func (g *rig) post(jws, from string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/v1/vault", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+jws)
	req.RemoteAddr = from
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	return w
}

func wants(t *testing.T, what string, w *httptest.ResponseRecorder, status int, code wire.Code) {
	t.Helper()
	var got struct {
		Refused wire.Code
		Message string
	}
	if w.Code != http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !strings.HasSuffix(got.Message, ".") {
			t.Fatalf("%s: %v: %s", what, err, w.Body)
		}
	}
	if w.Code != status || got.Refused != code {
		t.Fatalf("%s: %d %q, want %d %q", what, w.Code, got.Refused, status, code)
	}
}

const here = "192.0.2.1:1000"

func TestTokens(t *testing.T) {
	g := newRig(t, Config{})
	good := g.token(t, "alice", nil)
	wants(t, "good", g.post(good, here, []byte("sealed")), 200, "")
	stranger := newRig(t, Config{})
	part := strings.Split(good, ".")
	for what, jws := range map[string]string{
		"none":             "",
		"no token":         "x.y.z",
		"vault's audience": g.token(t, "alice", func(c *token.Claims) { c.Audience = "00ff" }),
		"expired":          g.token(t, "alice", func(c *token.Claims) { c.ExpiresUnix = clock.Unix() - 3600; c.IssuedUnix = clock.Unix() - 7200 }),
		"from tomorrow":    g.token(t, "alice", func(c *token.Claims) { c.IssuedUnix += 86400; c.ExpiresUnix += 2 * 86400 }),
		"no account":       g.token(t, "", nil),
		"long account":     g.token(t, strings.Repeat("a", wire.AccountBytesMax+1), nil),
		"other issuer":     stranger.token(t, "alice", nil),
		"alg none":         "eyJhbGciOiJub25lIiwia2lkIjoic2VydmljZSJ9." + part[1] + ".",
		"other signature":  part[0] + "." + part[1] + "." + strings.Repeat("A", len(part[2])),
		"two tokens":       good + " " + good,
		"too long":         good + strings.Repeat("A", wire.TokenBytesMax),
	} {
		wants(t, what, g.post(jws, here, []byte("sealed")), 401, wire.CodeRelayToken)
	}
	req := httptest.NewRequest(http.MethodPost, "/v1/vault", nil)
	req.Header.Add("Authorization", "Bearer "+good)
	req.Header.Add("Authorization", "Bearer "+good)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	wants(t, "two headers", w, 401, wire.CodeRelayToken)
	if g.calls != 1 {
		t.Fatalf("%d requests reached the vault, 1 had a good token", g.calls)
	}
}

func TestSize(t *testing.T) {
	g := newRig(t, Config{})
	jws := g.token(t, "alice", nil)
	wants(t, "largest", g.post(jws, here, make([]byte, wire.RequestBytesMax)), 200, "")
	wants(t, "one more", g.post(jws, here, make([]byte, wire.RequestBytesMax+1)), 413, wire.CodeTooLarge)
	req := httptest.NewRequest(http.MethodPost, "/v1/vault", bytes.NewReader(make([]byte, wire.RequestBytesMax+1)))
	req.ContentLength = -1 // chunked: no length is told
	req.Header.Set("Authorization", "Bearer "+jws)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	wants(t, "chunked", w, 413, wire.CodeTooLarge)
	if g.calls != 1 {
		t.Fatalf("%d requests reached the vault", g.calls)
	}
}

func TestAccountFlood(t *testing.T) {
	g := newRig(t, Config{AccountRate: Rate{1, 5}})
	jws := g.token(t, "alice", nil)
	refused := 0
	for i := range 20 {
		if w := g.post(jws, fmt.Sprintf("192.0.2.%d:1", i), []byte("x")); w.Code != 200 {
			wants(t, "flood", w, 429, wire.CodeRateLimited)
			if w.Header().Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
			refused++
		}
	}
	if g.calls != 5 || refused != 15 {
		t.Fatalf("%d got in, %d were refused", g.calls, refused)
	}
	wants(t, "bob", g.post(g.token(t, "bob", nil), here, []byte("x")), 200, "")
}

// One /64 is one customer; another one is not hindered. The limit stands
// before the token's signature is looked at.
func TestAddressFlood(t *testing.T) {
	g := newRig(t, Config{AddressRate: Rate{1, 5}})
	statuses := map[int]int{}
	for i := range 20 {
		statuses[g.post("no token", fmt.Sprintf("[2001:db8:0:1:%x::1]:9", i), nil).Code]++
	}
	if statuses[401] != 5 || statuses[429] != 15 {
		t.Fatalf("%v", statuses)
	}
	wants(t, "the next /64", g.post("no token", "[2001:db8:0:2::1]:9", nil), 401, wire.CodeRelayToken)
	wants(t, "IPv4", g.post("no token", here, nil), 401, wire.CodeRelayToken)
}

func TestTableIsBounded(t *testing.T) {
	tab := newTable[int](Rate{1, 1}, 100)
	for key := range 10_000 {
		if !tab.take(key, clock) {
			t.Fatal("a new key was refused")
		}
	}
	if len(tab.byKey) != 100 || tab.oldest.Len() != 100 {
		t.Fatalf("%d keys, %d buckets", len(tab.byKey), tab.oldest.Len())
	}
	if tab.take(9_999, clock) || !tab.take(9_999, clock.Add(time.Second)) {
		t.Fatal("the newest key's bucket was not kept")
	}
}

func TestForwardedFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		proxies          []netip.Prefix
		peer, said, want string
	}{
		{nil, "10.0.0.1:1", "203.0.113.9", "10.0.0.1"},
		{proxies, "198.51.100.1:1", "203.0.113.9", "198.51.100.1"},
		{proxies, "10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{proxies, "10.0.0.1:1", "1.1.1.1, 203.0.113.9", "203.0.113.9"}, // the left one is the client's invention
		{proxies, "10.0.0.1:1", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{proxies, "10.0.0.1:1", "nonsense", "10.0.0.1"},
		{proxies, "10.0.0.1:1", "", "10.0.0.1"},
	} {
		g := newRig(t, Config{TrustedProxies: c.proxies})
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = c.peer
		req.Header.Set("X-Forwarded-For", c.said)
		if got := g.clientAddress(req); got.String() != c.want {
			t.Errorf("%s says %q: %v, want %s", c.peer, c.said, got, c.want)
		}
	}
}

func TestBusyAndDown(t *testing.T) {
	g := newRig(t, Config{InFlightMax: 1})
	jws := g.token(t, "alice", nil)
	g.reply = func(context.Context, []byte) (wire.Reply, error) {
		wants(t, "second", g.post(jws, here, []byte("x")), 503, wire.CodeUnavailable)
		return wire.Reply{}, fmt.Errorf("%w: slots", ErrBusy)
	}
	wants(t, "busy", g.post(jws, here, []byte("x")), 503, wire.CodeUnavailable)
	for _, c := range []struct {
		reply wire.Reply
		err   error
		code  int
		want  wire.Code
	}{
		{wire.Reply{}, ErrDown, 503, wire.CodeUnavailable},
		{wire.Reply{}, errors.New("no answer"), 503, wire.CodeUnknown},
		{wire.Reply{Refused: wire.CodeSealing}, nil, 400, wire.CodeSealing},
		{wire.Reply{Refused: wire.CodeTicket}, nil, 400, wire.CodeTicket},
		{wire.Reply{Refused: wire.CodeRelayToken}, nil, 401, wire.CodeRelayToken},
		{wire.Reply{Refused: wire.CodeRateLimited}, nil, 429, wire.CodeRateLimited},
		{wire.Reply{Refused: wire.CodeUnavailable}, nil, 503, wire.CodeUnavailable},
	} {
		g.reply = func(context.Context, []byte) (wire.Reply, error) { return c.reply, c.err }
		wants(t, string(c.want), g.post(jws, here, []byte("x")), c.code, c.want)
	}
}

// Whatever happens, info-level logs name no account, token or address.
func TestLogsNameNobody(t *testing.T) {
	var lines bytes.Buffer
	g := newRig(t, Config{Log: slog.New(slog.NewTextHandler(&lines, nil)), AccountRate: Rate{1, 1}})
	jws := g.token(t, "canary-account", nil)
	for _, body := range [][]byte{[]byte("canary-body"), []byte("x"), make([]byte, wire.RequestBytesMax+1)} {
		g.post(jws, here, body)
	}
	if lines.Len() != 0 {
		t.Fatalf("logged: %s", &lines)
	}
}

// A client that sends a byte now and then is cut off.
func TestSlowClientIsCut(t *testing.T) {
	g := newRig(t, Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := HTTPServer(g, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Fatal("a limit is missing")
	}
	s.ReadHeaderTimeout, s.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	for what, said := range map[string]string{
		"half a header": "POST /v1/vault HTTP/1.1\r\nHost: x\r\n",
		"half a body": "POST /v1/vault HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nAuthorization: Bearer " +
			g.token(t, "alice", nil) + "\r\n\r\nhalf",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, said)
		r := bufio.NewReader(c)
		for err == nil { // ends only when the server cuts
			_, err = r.ReadByte()
		}
		c.Close()
		if g.calls != 0 {
			t.Fatalf("%s reached the vault", what)
		}
	}
}

func TestConnectionsPerPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := Limit(l, 100, 2, nil)
	t.Cleanup(func() { limited.Close() })
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := limited.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	dial()
	dial()
	first := <-accepted
	<-accepted
	third := dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Fatal("a third connection was served")
	}
	first.Close()
	dial()
	<-accepted // there is room again
}
