package feed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/host/alert"
	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a spool that a box of the test fills.
type rig struct {
	t      *testing.T
	dir    string
	fleet  *bundle.Fleet
	sender *channel.AlertSender
	reader *channel.AlertReader
	spool  *alert.Spool
	index  uint64
	log    bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	private, public, err := MakeKey()
	must(t, err)
	r := &rig{t: t, dir: t.TempDir(), fleet: &bundle.Fleet{ID: wire.FleetID{7}}}
	r.fleet.Alert, err = ReadPublic(public)
	must(t, err)
	path := filepath.Join(t.TempDir(), "alert.key")
	must(t, os.WriteFile(path, private, 0o600))
	r.reader, err = OpenKey(path, r.fleet)
	must(t, err)
	key, err := channel.ParsePublicKey(kem().ID(), r.fleet.Alert)
	must(t, err)
	r.sender, err = channel.NewAlertSender(key, r.fleet.ID)
	must(t, err)
	r.open()
	return r
}

func (r *rig) open() {
	var err error
	r.spool, err = alert.Open(alert.Config{Dir: r.dir})
	must(r.t, err)
	r.t.Cleanup(r.spool.Close)
}

// happens seals one message.
func (r *rig) happens(alerts ...wire.Alert) {
	r.t.Helper()
	plaintext, err := wire.Encode(wire.Alerts{Version: wire.Version, Alerts: alerts})
	must(r.t, err)
	sealed, err := r.sender.Seal(rand.Reader, plaintext, wire.AlertsBytes(len(alerts)))
	must(r.t, err)
	r.index++
	r.spool.Put([]wire.SealedAlerts{{Index: r.index, Sealed: sealed}})
}

func (r *rig) webhook(url string) *Webhook {
	r.t.Helper()
	w, err := NewWebhook(WebhookConfig{
		URL: url, Token: "a receiver's secret", Dir: r.dir, Spool: r.spool, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Source: func(after uint64) *Source { return NewSource(r.dir, after, r.reader, r.fleet.ID) },
	})
	must(r.t, err)
	w.backoff = time.Millisecond
	return w
}

func attempt(account string, number uint64) wire.Alert {
	return wire.Alert{Account: account, Kind: wire.EventAttempts, Number: number, AtMillis: 1_793_714_520_000, State: wire.StateLive, Left: 9, Limit: 10}
}

// receiver is the oracle: it counts events by itself.
type receiver struct {
	mu     sync.Mutex
	got    []Event
	answer func(post int, e Event) int // HTTP status
	posts  int
	news   chan struct{}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var e Event
	err := json.NewDecoder(req.Body).Decode(&e)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts++
	status := 200
	if r.answer != nil {
		status = r.answer(r.posts, e)
	}
	if err != nil || req.Header.Get("Authorization") != "Bearer a receiver's secret" || req.Header.Get("Idempotency-Key") != e.ID {
		status = 400
	}
	if status == 200 {
		r.got = append(r.got, e)
	}
	w.WriteHeader(status)
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// until waits until the receiver's word about what it got holds.
func (r *receiver) until(t *testing.T, holds func([]Event) bool) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		r.mu.Lock()
		ok := holds(r.got)
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.news:
		case <-end:
			t.Fatalf("it never came: %+v", r.got)
		}
	}
}

func distinct(got []Event) int {
	seen := map[string]bool{}
	for _, e := range got {
		seen[e.ID] = true
	}
	return len(seen)
}

// Every event comes, each account's in order, while the receiver fails and the
// webhook is stopped again and again.
func TestEveryEventComes(t *testing.T) {
	const accounts, each = 12, 20
	r := newRig(t)
	to := &receiver{news: make(chan struct{}, 1), answer: func(post int, _ Event) int {
		return []int{200, 200, 503, 200, 429, 200, 500}[post%7]
	}}
	server := httptest.NewServer(to)
	defer server.Close()
	for n := uint64(1); n <= each; n++ {
		for a := range accounts {
			r.happens(attempt(fmt.Sprint("account ", a), n))
		}
	}
	for stops := 1; stops <= 4; stops++ {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		w := r.webhook(server.URL)
		running.Go(func() { w.Run(ctx) })
		to.until(t, func(got []Event) bool { return distinct(got) >= accounts*each*stops/4 })
		cancel()
		running.Wait()
		r.spool.Close()
		r.open()
	}
	last := map[string]uint64{}
	for _, e := range to.got {
		if e.Number > last[e.Account]+1 {
			t.Fatalf("%s: event %d came after %d", e.Account, e.Number, last[e.Account])
		}
		last[e.Account] = max(last[e.Account], e.Number)
		if e.Event != "attempt" || e.Left != 9 || e.Limit != 10 || e.Time.Format(time.RFC3339) != "2026-11-03T14:02:00Z" || e.State != "live" {
			t.Fatalf("%+v", e)
		}
	}
	if len(to.got) > accounts*each+4*windowEventsMax {
		t.Fatalf("%d posts for %d events", len(to.got), accounts*each)
	}
	if strings.Contains(r.log.String(), "account ") || strings.Contains(r.log.String(), "secret") {
		t.Fatalf("the log names an account:\n%s", r.log.String())
	}
}

// An event that the receiver refuses does not hold the others up; what is
// damaged in the spool neither.
func TestRefusedAndDamaged(t *testing.T) {
	r := newRig(t)
	to := &receiver{news: make(chan struct{}, 1), answer: func(_ int, e Event) int {
		if e.Number == 2 {
			return 422
		}
		return 200
	}}
	server := httptest.NewServer(to)
	defer server.Close()
	r.happens(attempt("anna", 1), attempt("anna", 2))
	r.spool.Put([]wire.SealedAlerts{{Index: 50, Sealed: []byte("somebody else's")}})
	r.index = 50
	r.happens(attempt("anna", 3))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	w := r.webhook(server.URL)
	running.Go(func() { w.Run(ctx) })
	to.until(t, func(got []Event) bool { return distinct(got) == 2 && got[1].Number == 3 })
	for w.Waiting() > 0 { // it hears the answer later than the receiver gives it
		time.Sleep(time.Millisecond)
	}
	cancel()
	running.Wait()
	if w.Refused() != 1 || w.Delivered() != 2 || w.Missed() != 1 {
		t.Fatalf("refused %d, delivered %d, missed %d", w.Refused(), w.Delivered(), w.Missed())
	}
}

func TestWebhookAddresses(t *testing.T) {
	for _, good := range []string{"https://example.org/hook?key=1", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:1/"} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "http://example.org/hook", "http://192.168.1.2/", "ftp://127.0.0.1/", "https://", "127.0.0.1:80"} {
		if err := CheckURL(bad); !errors.Is(err, ErrWebhook) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A redirect is not followed: it would carry accounts' names away.
func TestRedirectIsNotFollowed(t *testing.T) {
	r := newRig(t)
	away := &receiver{news: make(chan struct{}, 1)}
	elsewhere := httptest.NewServer(away)
	defer elsewhere.Close()
	posts := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, elsewhere.URL, http.StatusTemporaryRedirect)
		posts <- struct{}{}
	}))
	defer server.Close()
	r.happens(attempt("anna", 1))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	w := r.webhook(server.URL)
	running.Go(func() { w.Run(ctx) })
	<-posts
	<-posts
	cancel()
	running.Wait()
	if away.posts != 0 || w.Delivered() != 0 {
		t.Fatalf("%d posts elsewhere", away.posts)
	}
}

func TestKeys(t *testing.T) {
	private, public, err := MakeKey()
	must(t, err)
	if _, err := ReadPublic(private); !errors.Is(err, ErrKey) {
		t.Errorf("a private key for a public one: %v", err)
	}
	if _, err := ReadPublic([]byte("no")); !errors.Is(err, ErrKey) {
		t.Errorf("no PEM: %v", err)
	}
	if bytes.Contains(public, private[40:100]) {
		t.Error("the public file holds the private key")
	}
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, private, 0o600))
	if _, err := OpenKey(path, &bundle.Fleet{Alert: []byte("another")}); !errors.Is(err, ErrOtherKey) {
		t.Errorf("another fleet's: %v", err)
	}
	if _, err := OpenKey(path, &bundle.Fleet{}); !errors.Is(err, ErrNone) {
		t.Errorf("a fleet without: %v", err)
	}
	must(t, os.WriteFile(path, public, 0o600))
	if _, err := OpenKey(path, &bundle.Fleet{Alert: []byte("another")}); !errors.Is(err, ErrKey) {
		t.Errorf("a public key for a private one: %v", err)
	}
	seen := map[string]bool{}
	for _, a := range []wire.Alert{attempt("anna", 1), attempt("anna", 2), attempt("bert", 1)} {
		seen[idOf(wire.FleetID{1}, a)] = true
		seen[idOf(wire.FleetID{2}, a)] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d ids of six events", len(seen))
	}
}
