package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
)

// front is a relay whose vault answers at once.
type front struct {
	url    string
	issuer ed25519.PrivateKey
}

func newFront(t *testing.T, c Config) *front {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.Issuers = []bundle.Issuer{{ID: "test", Alg: bundle.EdDSA, Key: public}}
	if c.Vault == nil {
		c.Vault = func(context.Context, Request) (wire.Reply, error) { return wire.Reply{Sealed: []byte("answer")}, nil }
	}
	server := httptest.NewUnstartedServer(New(c))
	limits := HTTPServer(server.Config.Handler, nil)
	server.Config.ReadTimeout, server.Config.WriteTimeout = limits.ReadTimeout, limits.WriteTimeout
	server.Start()
	t.Cleanup(server.Close)
	return &front{server.URL, private}
}

func (f *front) token(t *testing.T, account string) string {
	t.Helper()
	now := time.Now().Unix()
	jws, err := token.Issue(token.Claims{Account: account, Audience: token.AudienceRelay, IssuedUnix: now, ExpiresUnix: now + 60, ID: "t"}, "test", f.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

func (f *front) post(t *testing.T, account string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/v1/vault", strings.NewReader("sealed"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.token(t, account))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// slowly sends a request whose body does not come to its end, and waits until
// the relay reads it ("100 Continue").
func (f *front) slowly(t *testing.T, account string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST /v1/vault HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 8192\r\nExpect: 100-continue\r\n\r\n", f.token(t, account))
	line := make([]byte, len("HTTP/1.1 100"))
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "HTTP/1.1 100" {
		t.Fatalf("%q, %v", line, err)
	}
}

// Bodies that never end take no place from those who are ready: else a
// handful of accounts could hold all of them with a few bytes a second.
func TestSlowBodiesHoldNoPlace(t *testing.T) {
	f := newFront(t, Config{InFlightMax: 4})
	for i := range 8 {
		f.slowly(t, fmt.Sprintf("thief %d", i))
	}
	if status := f.post(t, "alice"); status != http.StatusOK {
		t.Errorf("behind slow bodies: status %d", status)
	}
}

// One account can not take all the places, however slow the vault is.
func TestOneAccountHoldsFewPlaces(t *testing.T) {
	many := Rate{PerSecond: 1e6, Burst: 1e6}
	release, inside := make(chan struct{}), make(chan struct{}, AccountInFlightMax)
	var calls atomic.Int64
	f := newFront(t, Config{InFlightMax: 2 * AccountInFlightMax, AccountRate: many, AddressRate: many, Vault: func(context.Context, Request) (wire.Reply, error) {
		if calls.Add(1) <= AccountInFlightMax {
			inside <- struct{}{}
			<-release
		}
		return wire.Reply{Sealed: []byte("answer")}, nil
	}})
	statuses := make(chan int, AccountInFlightMax)
	for range AccountInFlightMax {
		go func() { statuses <- f.post(t, "thief") }()
		<-inside
	}
	for range 2 * AccountInFlightMax {
		if status := f.post(t, "thief"); status != http.StatusTooManyRequests {
			t.Errorf("one more of the same account: status %d", status)
		}
	}
	if status := f.post(t, "alice"); status != http.StatusOK {
		t.Errorf("beside a busy account: status %d", status)
	}
	close(release)
	for range AccountInFlightMax {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("of the first ones: status %d", status)
		}
	}
	for range 2 * AccountInFlightMax { // the places came back
		if status := f.post(t, "thief"); status != http.StatusOK {
			t.Errorf("afterwards: status %d", status)
		}
	}
}
