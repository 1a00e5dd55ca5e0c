package client_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

func same(a, b client.Payload) bool {
	return a.Key == b.Key && bytes.Equal(a.RepositoryID, b.RepositoryID) && a.RepositoryURL == b.RepositoryURL
}

func TestRegisterRecover(t *testing.T) {
	r, ctx := newRig(t), within(t)
	v, p := r.vault(t, nil), payload()
	if _, _, err := v.Recover(ctx, right); !errors.Is(err, client.ErrNoRecord) {
		t.Fatalf("nothing registered: %v", err)
	}
	status, err := v.Register(ctx, right, p)
	must(t, err)
	if status.State != wire.StateLive || status.Left != 10 {
		t.Errorf("%+v", status)
	}
	got, status, err := v.Recover(ctx, right)
	must(t, err)
	if !same(got, p) || status.Left != 10 {
		t.Errorf("another payload, or %d attempts left", status.Left)
	}
	if _, err := v.Register(ctx, another, payload()); !errors.Is(err, client.ErrLive) {
		t.Errorf("registered over a live record: %v", err)
	}
}

// The same password, typed on a keyboard that composes, is the same.
func TestPasswordIsPrepared(t *testing.T) {
	r, ctx := newRig(t), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Register(ctx, "caf\u00e9 in Z\u00fcrich", p)
	must(t, err)
	got, _, err := v.Recover(ctx, "cafe\u0301 in Zu\u0308rich")
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
}

// Every wrong password is charged once; the right one at the tenth try wins.
func TestRightAtTheTenth(t *testing.T) {
	r, ctx := newRig(t), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Register(ctx, right, p)
	must(t, err)
	before := r.counter.Evaluations()
	for left := 9; left >= 1; left-- {
		wrong(t, v, left)
	}
	got, status, err := v.Recover(ctx, right)
	must(t, err)
	if !same(got, p) || status.Left != 10 {
		t.Errorf("%d left after the right one", status.Left)
	}
	if n := r.counter.Evaluations() - before; n != 10 {
		t.Errorf("the HSM evaluated %d guesses, 10 were made", n)
	}
}

func wrong(t *testing.T, v *client.Vault, left int) {
	t.Helper()
	_, _, err := v.Recover(t.Context(), "not the password")
	var e *client.ErrWrongPassword
	if !errors.As(err, &e) || e.AttemptsLeft != left {
		t.Fatalf("want a wrong password with %d left, got %v", left, err)
	}
}

func TestDestroyed(t *testing.T) {
	r, ctx := newRig(t), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Register(ctx, right, p)
	must(t, err)
	before := r.counter.Evaluations()
	for left := 9; left >= 0; left-- {
		wrong(t, v, left)
	}
	_, status, err := v.Recover(ctx, right)
	if !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
		t.Fatalf("after ten wrong ones the right one gave %v", err)
	}
	if status.Left != 0 {
		t.Errorf("%d left", status.Left)
	}
	if n := r.counter.Evaluations() - before; n != 10 {
		t.Errorf("the HSM evaluated %d guesses, the limit is 10", n)
	}
	// Whoever still has K may protect it anew.
	_, err = v.Replace(ctx, another, p)
	must(t, err)
	got, _, err := v.Recover(ctx, another)
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
}

func TestReplaceAndDelete(t *testing.T) {
	r, ctx := newRig(t), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Replace(ctx, right, p) // nothing there: it registers
	must(t, err)
	wrong(t, v, 9)
	_, err = v.Replace(ctx, another, p)
	must(t, err)
	wrong(t, v, 9) // the budget was full again
	if got, _, err := v.Recover(ctx, another); err != nil || !same(got, p) {
		t.Errorf("the new password: %v", err)
	}
	if _, _, err := v.Recover(ctx, right); err == nil {
		t.Error("the old password still opens")
	}
	if _, err := v.Replace(ctx, right, payload()); !errors.Is(err, client.ErrOwner) {
		t.Errorf("another key replaced the record: %v", err)
	}
	if _, err := v.Delete(ctx, client.NewKey()); !errors.Is(err, client.ErrOwner) {
		t.Errorf("another key deleted the record: %v", err)
	}
	status, err := v.Delete(ctx, p.Key)
	must(t, err)
	if status.State != wire.StateDeleted {
		t.Errorf("%+v", status)
	}
	if _, _, err := v.Recover(ctx, another); !errors.Is(err, client.ErrNoRecord) {
		t.Errorf("after the delete: %v", err)
	}
	if _, err := v.Delete(ctx, p.Key); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	r, ctx := newRig(t), within(t)
	l := &line{}
	v := r.vault(t, l)
	for _, weak := range []string{"", "short", "password1", "12345678", "aaaaaaaaaaaa", "abcabcabcabc", "qwertyuiop", "WhatsApp2024", "P@ssw0rd!", "anna1234"} {
		if _, err := v.Register(ctx, weak, payload()); !errors.Is(err, client.ErrPasswordWeak) && !errors.Is(err, client.ErrPasswordText) {
			t.Errorf("%q: %v", weak, err)
		}
	}
	if _, _, err := v.Recover(ctx, "bell\a"); !errors.Is(err, client.ErrPasswordText) {
		t.Errorf("a control character: %v", err)
	}
	v.Stretch = wire.Stretch{Time: 1 << 20, MemoryKiB: 64, Threads: 1}
	if _, err := v.Register(ctx, right, payload()); !errors.Is(err, client.ErrStretch) {
		t.Errorf("a stretch past all limits: %v", err)
	}
	if l.count() != 0 {
		t.Errorf("%d requests left for it", l.count())
	}
}

func TestVaultOutOfReach(t *testing.T) {
	r, ctx := newRig(t), within(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	v := r.vault(t, nil)
	v.URL = "http://" + closed.Addr().String()
	if _, _, err := v.Recover(ctx, right); !errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("nobody listens: %v", err)
	}
	v = r.vault(t, nil)
	v.URL = "http://vault.example.org"
	asked := false
	v.HTTP.Transport = roundTrip(func(*http.Request) (*http.Response, error) { asked = true; return nil, errLine })
	if _, err := v.Status(ctx); !errors.Is(err, client.ErrUnreachable) || asked {
		t.Errorf("plain http to another machine: asked %v, %v", asked, err)
	}
}

func TestAnotherFleet(t *testing.T) {
	r, ctx := newRig(t), within(t)
	l := &line{}
	v := r.vault(t, l)
	v.Pin[0] ^= 1
	if _, _, err := v.Recover(ctx, right); !errors.Is(err, client.ErrPin) {
		t.Errorf("got %v", err)
	}
	if l.count() != 0 {
		t.Error("something was sent to an unpinned vault")
	}
}

func TestTokenRefused(t *testing.T) {
	r, ctx := newRig(t), within(t)
	good, old := r.tokens(t, time.Now().Add(time.Hour)), r.tokens(t, time.Now().Add(-time.Hour))
	for name, tokens := range map[string]client.Tokens{
		"relay": {Account: account, Relay: old.Relay, Vault: good.Vault}, "vault": {Account: account, Relay: good.Relay, Vault: old.Vault},
		"swapped": {Account: account, Relay: good.Vault, Vault: good.Relay},
	} {
		v := r.vault(t, nil)
		v.Tokens = tokens
		if _, err := v.Status(ctx); !errors.Is(err, client.ErrTokenRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A redirect would carry the relay's token to whoever it names.
func TestNoRedirect(t *testing.T) {
	r, ctx := newRig(t), within(t)
	var strangers int
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers++ }))
	defer stranger.Close()
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, stranger.URL, http.StatusTemporaryRedirect)
	}))
	defer redirect.Close()
	v := r.vault(t, nil)
	v.URL = redirect.URL
	if _, err := v.Status(ctx); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if strangers != 0 {
		t.Error("the stranger was asked")
	}
}

// TestWait: the sixth guess must wait, and says so without using one.
func TestWait(t *testing.T) {
	r, ctx := newRigUnder(t, bundle.Policy{Attempts: 10, TicketMillis: 120_000, WaitsMillis: []uint64{0, 0, 0, 0, 0, 3_600_000}}), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Register(ctx, right, p)
	must(t, err)
	early, err := v.Begin(right) // knows where the account stands before the others guess
	must(t, err)
	for left := 9; left >= 5; left-- {
		wrong(t, v, left)
	}
	for range 2 {
		_, status, err := early.Run(ctx)
		var wait *client.ErrWait
		if !errors.As(err, &wait) || status.Left != 5 || wait.Status.Left != 5 {
			t.Fatalf("the sixth: %v, %d left", err, status.Left)
		}
		if until := time.Until(wait.Until()); until < 50*time.Minute || until > time.Hour {
			t.Fatalf("a wait of %v", until)
		}
	}
	if n := r.counter.Evaluations(); n != 6 { // one at the registration
		t.Errorf("the HSM evaluated %d times", n)
	}
}

// TestLifetime: an account that made all its wrong attempts takes no other
// key any more, and still takes its own.
func TestLifetime(t *testing.T) {
	r, ctx := newRigUnder(t, bundle.Policy{Attempts: 2, TicketMillis: 1000, Lifetime: 2}), within(t)
	v, p := r.vault(t, nil), payload()
	_, err := v.Register(ctx, right, p)
	must(t, err)
	wrong(t, v, 1)
	wrong(t, v, 0)
	for {
		status, err := v.Status(ctx)
		must(t, err)
		if status.State == wire.StateDestroyed {
			break
		}
		must(t, ctx.Err())
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := v.Replace(ctx, right, payload()); !errors.Is(err, client.ErrLifetime) {
		t.Fatalf("another key: %v", err)
	}
	status, err := v.Replace(ctx, right, p)
	must(t, err)
	if status.Left != 2 || status.WrongEver != 0 || status.LifetimeLimit != 2 {
		t.Errorf("%+v", status)
	}
}

func TestMark(t *testing.T) {
	r, ctx := newRig(t), within(t)
	l := &line{drop: func(post int) bool { return post%3 == 0 }} // every third answer is lost
	v, p := r.vault(t, l), payload()
	m := client.Mark{Device: [16]byte{1}, Sequence: 7, Head: [32]byte{7}}
	if _, err := v.Mark(ctx, p.Key, m); !errors.Is(err, client.ErrNoRecord) {
		t.Fatalf("nothing registered: %v", err)
	}
	_, err := v.Register(ctx, right, p)
	must(t, err)
	for range 3 {
		status, err := v.Mark(ctx, p.Key, m)
		must(t, err)
		if len(status.Marks) != 1 || status.Marks[0] != m {
			t.Fatalf("%+v", status)
		}
	}
	m.Head[0] ^= 1
	if _, err := v.Mark(ctx, p.Key, m); !errors.Is(err, client.ErrStale) {
		t.Errorf("another head under the same number: %v", err)
	}
	m.Sequence++
	if _, err := v.Mark(ctx, client.NewKey(), m); !errors.Is(err, client.ErrOwner) {
		t.Errorf("another key: %v", err)
	}
}

// TestReset: who has neither password nor key waits; the owner stops it, or
// the time is over.
func TestReset(t *testing.T) {
	r, ctx := newRigUnder(t, bundle.Policy{Attempts: 10, TicketMillis: 1000, Lifetime: 100, ResetMillis: 3_000}), within(t)
	l := &line{drop: func(post int) bool { return post%4 == 0 }} // every fourth answer is lost
	v, p, thief := r.vault(t, l), payload(), payload()
	_, err := v.Register(ctx, right, p)
	must(t, err)
	status, err := v.Reset(ctx, another, thief)
	must(t, err)
	if status.Pending == nil || status.Pending.Generation == nil {
		t.Fatalf("%+v", status)
	}
	if _, err := v.Reset(ctx, another, payload()); !errors.Is(err, client.ErrPending) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := v.Cancel(ctx, thief.Key); !errors.Is(err, client.ErrOwner) {
		t.Errorf("the thief's key stops it: %v", err)
	}
	for range 2 { // a second time there is nothing to stop
		if status, err = v.Cancel(ctx, p.Key); err != nil || status.Pending != nil || status.Resets != 1 {
			t.Fatalf("%v %+v", err, status)
		}
	}
	if status, err = v.DeleteLater(ctx); err != nil || status.Pending == nil || status.Pending.Generation != nil {
		t.Fatalf("%v %+v", err, status)
	}
	if got, status, err := v.Recover(ctx, right); err != nil || !same(got, p) || status.Pending != nil {
		t.Fatalf("the password stops it: %v %+v", err, status)
	}
	_, err = v.Reset(ctx, another, thief)
	must(t, err)
	for {
		if status, err = v.Status(ctx); err != nil {
			t.Fatal(err)
		}
		if status.Pending == nil {
			break
		}
		must(t, ctx.Err())
		time.Sleep(100 * time.Millisecond)
	}
	if got, _, err := v.Recover(ctx, another); err != nil || !same(got, thief) {
		t.Fatalf("after the wait: %v", err)
	}
	if status, err = v.Reset(ctx, right, thief); err != nil || status.Pending != nil { // by the owner's own key: at once
		t.Fatalf("%v %+v", err, status)
	}
}

// Whoever watches, or wants evidence, where no relay is, is told so.
func TestWatchOutOfReach(t *testing.T) {
	v := newRig(t).vault(t, nil)
	v.URL = "http://127.0.0.1:1"
	if _, err := v.Watch(within(t), 0); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("watch: %v", err)
	}
	if _, _, err := v.SignedStatus(within(t)); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("evidence: %v", err)
	}
}
