package relay

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// postTo posts to the island of a name.
func (g *rig) postTo(jws, island string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/v1/vault/"+island, bytes.NewReader([]byte("sealed")))
	req.Header.Set("Authorization", "Bearer "+jws)
	req.RemoteAddr = "192.0.2.1:1"
	w := httptest.NewRecorder()
	g.ServeHTTP(w, req)
	return w
}

// A request goes to the island that it names, one without a name to the
// founder, and one that names another to nobody.
func TestIslands(t *testing.T) {
	const other = "0123456789abcdef"
	there := 0
	g := newRig(t, Config{Islands: map[string]Vault{other: func(_ context.Context, r Request) (wire.Reply, error) {
		there++
		return wire.Reply{Sealed: r.Sealed}, nil
	}}})
	jws := g.token(t, "anna", nil)
	founder := bundle.PinOf([]byte("the document")).IslandName()
	for _, c := range []struct {
		name         string
		island       string
		status       int
		code         wire.Code
		calls, there int
	}{
		{"the founder by name", founder, http.StatusOK, "", 1, 0},
		{"the other", other, http.StatusOK, "", 1, 1},
		{"none that is known", "0123456789abcdee", http.StatusNotFound, wire.CodeIsland, 1, 1},
		{"an empty name", "", http.StatusNotFound, wire.CodeMalformed, 1, 1},
	} {
		wants(t, c.name, g.postTo(jws, c.island), c.status, c.code)
		if g.calls != c.calls || there != c.there {
			t.Fatalf("%s: %d requests at the founder and %d at the other", c.name, g.calls, there)
		}
	}
	if w := g.post(jws, "192.0.2.1:1", []byte("sealed")); w.Code != http.StatusOK || g.calls != 2 {
		t.Errorf("without a name: %d, %d requests at the founder", w.Code, g.calls)
	}
	wants(t, "without a token", g.postTo("", other), http.StatusUnauthorized, wire.CodeRelayToken)
}

// Requests that wait for one island take no place of another's.
func TestIslandsHaveTheirOwnPlaces(t *testing.T) {
	const down = "0123456789abcdef"
	waits, end := make(chan struct{}), make(chan struct{})
	g := newRig(t, Config{InFlightMax: 1, Islands: map[string]Vault{down: func(ctx context.Context, _ Request) (wire.Reply, error) {
		close(waits)
		<-end
		return wire.Reply{}, ErrDown
	}}})
	jws, first := g.token(t, "anna", nil), make(chan *httptest.ResponseRecorder)
	go func() { first <- g.postTo(jws, down) }()
	<-waits
	wants(t, "one more of it", g.postTo(jws, down), http.StatusServiceUnavailable, wire.CodeUnavailable)
	wants(t, "the founder", g.post(jws, "192.0.2.1:1", []byte("sealed")), http.StatusOK, "")
	close(end)
	wants(t, "an island that is down", <-first, http.StatusServiceUnavailable, wire.CodeUnavailable)
}

// A relay of another island than the founder serves nobody who names none.
func TestRelayWithoutTheFounder(t *testing.T) {
	g := newRig(t, Config{})
	delete(g.islands, "")
	wants(t, "no name", g.post(g.token(t, "anna", nil), "192.0.2.1:1", []byte("sealed")), http.StatusNotFound, wire.CodeIsland)
	if g.calls != 0 {
		t.Error("it reached a vault")
	}
}

func TestLayouts(t *testing.T) {
	var layouts []byte
	g := newRig(t, Config{Layouts: func() []byte { return layouts }})
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "/v1/layouts", nil)
		req.RemoteAddr = "192.0.2.1:1"
		g.ServeHTTP(w, req)
		return w
	}
	wants(t, "none", get(), http.StatusNotFound, wire.CodeMalformed)
	layouts = []byte("the layouts")
	if w := get(); w.Code != http.StatusOK || w.Body.String() != "the layouts" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The boxes of another island are asked under its name; the founder's as ever,
// which an older program knows.
func TestUpstreamNamesTheIsland(t *testing.T) {
	box := newUpstreamRig(t, "box")
	for name, path := range map[string]string{"": "/v1/vault", "0123456789abcdef": "/v1/vault/0123456789abcdef"} {
		u := NewUpstream(name, []string{box.URL}, nil)
		if _, err := u.Ask(t.Context(), sealedRequest); err != nil || box.last.URL.Path != path {
			t.Errorf("island %q: %v, asked at %s", name, err, box.last.URL.Path)
		}
		u.Close()
	}
}
