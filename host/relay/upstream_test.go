package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/protocol/wire"
)

// upstreamRig is a box's relay that can be told to fall silent.
type upstreamRig struct {
	*httptest.Server
	name   string
	silent atomic.Bool  // answers nothing more, not even for its health
	status atomic.Int32 // of every answer; 0: 200
	code   wire.Code    // with it
	asked  atomic.Int32

	mu   sync.Mutex
	last *http.Request
}

func newUpstreamRig(t *testing.T, name string) *upstreamRig {
	t.Helper()
	b := &upstreamRig{name: name}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.CloseClientConnections)
	t.Cleanup(b.Close)
	return b
}

func (b *upstreamRig) serve(w http.ResponseWriter, req *http.Request) {
	if b.silent.Load() {
		<-req.Context().Done()
		return
	}
	if req.URL.Path == "/healthz" {
		return
	}
	b.mu.Lock()
	b.last = req
	b.mu.Unlock()
	sealed, _ := io.ReadAll(req.Body)
	if b.asked.Add(1); b.name == "silent" {
		b.silent.Store(true)
		<-req.Context().Done()
		return
	}
	if status := int(b.status.Load()); status != 0 {
		refusal{status, b.code, "no"}.write(w)
		return
	}
	w.Write(append([]byte(b.name+" "), sealed...))
}

func newUpstreamOf(t *testing.T, boxes ...*upstreamRig) *Upstream {
	t.Helper()
	var urls []string
	for _, b := range boxes {
		urls = append(urls, b.URL)
	}
	u := NewUpstream("", urls, nil)
	t.Cleanup(u.Close)
	return u
}

var sealedRequest = Request{Sealed: []byte("sealed"), Token: "token", From: netip.MustParseAddr("192.0.2.7")}

// The request arrives with what the box's own relay needs to check and count
// it, and turns go round.
func TestUpstreamCarries(t *testing.T) {
	a, b := newUpstreamRig(t, "a"), newUpstreamRig(t, "b")
	u := newUpstreamOf(t, a, b)
	for range 10 {
		reply, err := u.Ask(t.Context(), sealedRequest)
		if err != nil || string(reply.Sealed) != "a sealed" && string(reply.Sealed) != "b sealed" {
			t.Fatalf("%q, %v", reply.Sealed, err)
		}
	}
	if a.asked.Load() != 5 || b.asked.Load() != 5 {
		t.Errorf("asked %d and %d times", a.asked.Load(), b.asked.Load())
	}
	if a.last.Header.Get("Authorization") != "Bearer token" || a.last.Header.Get("X-Forwarded-For") != "192.0.2.7" {
		t.Errorf("headers %v", a.last.Header)
	}
}

// A box that is gone, or can not serve, costs nobody an answer.
func TestUpstreamMinorityDown(t *testing.T) {
	gone, busy, well := newUpstreamRig(t, "gone"), newUpstreamRig(t, "busy"), newUpstreamRig(t, "well")
	gone.Close()
	busy.status.Store(http.StatusServiceUnavailable)
	busy.code = wire.CodeUnavailable
	u := newUpstreamOf(t, gone, busy, well)
	for range 9 {
		if reply, err := u.Ask(t.Context(), sealedRequest); err != nil || string(reply.Sealed) != "well sealed" {
			t.Fatalf("%q, %v", reply.Sealed, err)
		}
	}
}

// A box that took the request and fell silent is given up when it is not
// healthy any more. Whether it acted is not known, and said so; the client's
// next one goes elsewhere.
func TestUpstreamSilentBox(t *testing.T) {
	silent, well := newUpstreamRig(t, "silent"), newUpstreamRig(t, "well")
	u := newUpstreamOf(t, silent, well)
	unknown := 0
	for range 4 {
		reply, err := u.Ask(t.Context(), sealedRequest)
		switch {
		case err == nil && string(reply.Sealed) == "well sealed":
		case err != nil && !errors.Is(err, ErrDown):
			unknown++
		default:
			t.Fatalf("%q, %v", reply.Sealed, err)
		}
	}
	if unknown != 1 || silent.asked.Load() != 1 {
		t.Errorf("%d unknown outcomes, and the silent box was asked %d times", unknown, silent.asked.Load())
	}
}

// While no box can be asked a request waits: an island that chooses another
// leader costs nobody a refusal.
func TestUpstreamWaitsForABox(t *testing.T) {
	box := newUpstreamRig(t, "box")
	box.code = wire.CodeUnavailable
	box.status.Store(http.StatusServiceUnavailable)
	u := newUpstreamOf(t, box)
	go func() {
		for box.asked.Load() < 3 {
			time.Sleep(time.Millisecond)
		}
		box.status.Store(0)
	}()
	if reply, err := u.Ask(t.Context(), sealedRequest); err != nil || string(reply.Sealed) != "box sealed" {
		t.Errorf("%q, %v", reply.Sealed, err)
	}
}

// What a refusal means is kept: only where nothing was sent it is said so.
func TestUpstreamRefusals(t *testing.T) {
	box := newUpstreamRig(t, "box")
	u := newUpstreamOf(t, box)
	for _, c := range []struct {
		status int
		code   wire.Code
		want   error
		reply  wire.Code
	}{
		{http.StatusUnauthorized, wire.CodeRelayToken, nil, wire.CodeRelayToken},
		{http.StatusTooManyRequests, wire.CodeRateLimited, nil, wire.CodeRateLimited},
		{http.StatusBadRequest, wire.CodeTicket, nil, wire.CodeTicket},
		{http.StatusServiceUnavailable, wire.CodeUnavailable, ErrDown, ""},
		{http.StatusServiceUnavailable, wire.CodeUnknown, errors.New("any other"), ""},
	} {
		box.code = c.code
		box.status.Store(int32(c.status))
		ctx, cancel := context.WithTimeout(t.Context(), 4*upLook)
		reply, err := u.Ask(ctx, sealedRequest)
		cancel()
		if (err == nil) != (c.want == nil) || errors.Is(err, ErrDown) != (c.want == ErrDown) || reply.Refused != c.reply {
			t.Errorf("%s: %+v, %v", c.code, reply, err)
		}
	}
	box.Close()
	for u.Healthy() == nil {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*upLook)
	defer cancel()
	if _, err := u.Ask(ctx, sealedRequest); !errors.Is(err, ErrDown) {
		t.Error(err)
	}
}

// Whoever does not wait any longer ends it.
func TestUpstreamContext(t *testing.T) {
	silent := newUpstreamRig(t, "silent")
	u := newUpstreamOf(t, silent)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for silent.asked.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := u.Ask(ctx, sealedRequest); err == nil || errors.Is(err, ErrDown) {
		t.Error(err)
	}
}
