package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/protocol/wire"
)

// Whatever single answer or request is lost, an honest recovery still
// succeeds and the HSM evaluates one guess.
func TestEachLossCostsOneGuess(t *testing.T) {
	r, ctx := newRig(t), within(t)
	p := payload()
	_, err := r.vault(t, nil).Register(ctx, right, p)
	must(t, err)
	for _, early := range []bool{false, true} {
		for lost := 1; lost <= 3; lost++ { // status, start, finish
			t.Run(fmt.Sprintf("early=%v post=%d", early, lost), func(t *testing.T) {
				l := &line{drop: func(post int) bool { return post == lost }, early: early}
				before := r.counter.Evaluations()
				got, status, err := r.vault(t, l).Recover(ctx, right)
				must(t, err)
				if !same(got, p) || status.Left != 10 {
					t.Errorf("another payload, or %d left", status.Left)
				}
				if n := r.counter.Evaluations() - before; n != 1 {
					t.Errorf("%d guesses evaluated", n)
				}
				if l.count() != 4 {
					t.Errorf("%d requests, 3 and a retry expected", l.count())
				}
			})
		}
	}
}

// A wrong password over a bad line is charged once too.
func TestWrongPasswordOverABadLine(t *testing.T) {
	r, ctx := newRig(t), within(t)
	_, err := r.vault(t, nil).Register(ctx, right, payload())
	must(t, err)
	l := &line{drop: func(post int) bool { return post == 2 || post == 3 }}
	_, _, err = r.vault(t, l).Recover(ctx, "not the password")
	var wrong *client.ErrWrongPassword
	if !errors.As(err, &wrong) || wrong.AttemptsLeft != 9 {
		t.Errorf("got %v", err)
	}
	status, err := r.vault(t, nil).Status(ctx)
	must(t, err)
	if status.Left != 9 || status.Slot != 1 {
		t.Errorf("%+v", status)
	}
}

// When every answer is lost the client says so, and running the same guess
// again on a better line is free.
func TestUnknownOutcomeIsFreeToRepeat(t *testing.T) {
	r, ctx := newRig(t), within(t)
	p := payload()
	_, err := r.vault(t, nil).Register(ctx, right, p)
	must(t, err)
	before, broken := r.counter.Evaluations(), true
	l := &line{drop: func(post int) bool { return broken && post > 1 }}
	guess, err := r.vault(t, l).Begin(right)
	must(t, err)
	for range 3 {
		_, _, err = guess.Run(ctx)
		if !errors.Is(err, client.ErrOutcomeUnknown) || errors.Is(err, client.ErrUnreachable) {
			t.Fatalf("got %v", err)
		}
	}
	broken = false
	got, status, err := guess.Run(ctx)
	must(t, err)
	if !same(got, p) || status.Left != 10 {
		t.Errorf("another payload, or %d left", status.Left)
	}
	if n := r.counter.Evaluations() - before; n != 1 {
		t.Errorf("%d guesses evaluated for one", n)
	}
}

// ending gives tokens until its file is gone.
type ending struct {
	tokens client.Tokens
	left   int
}

func (e *ending) Tokens(context.Context) (client.Tokens, error) {
	if e.left--; e.left < 0 {
		return client.Tokens{}, client.ErrTokens
	}
	return e.tokens, nil
}

// When the tokens end after the guess was sent, the error does not say that
// none was used.
func TestTokensEndAfterTheGuess(t *testing.T) {
	r, ctx := newRig(t), within(t)
	_, err := r.vault(t, nil).Register(ctx, right, payload())
	must(t, err)
	v := r.vault(t, nil)
	v.Tokens = &ending{r.tokens(t, time.Now().Add(time.Hour)), 2} // status and start
	if _, _, err := v.Recover(ctx, right); !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
}

// When no request of a guess got out, no guess was used, and the error says so.
func TestNothingSentIsNoGuess(t *testing.T) {
	r, ctx := newRig(t), within(t)
	_, err := r.vault(t, nil).Register(ctx, right, payload())
	must(t, err)
	l := &line{drop: func(post int) bool { return true }}
	if _, _, err := r.vault(t, l).Recover(ctx, right); !errors.Is(err, client.ErrUnreachable) || errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("only status requests got out: %v", err)
	}
	status, err := r.vault(t, nil).Status(ctx)
	must(t, err)
	if status.Left != 10 {
		t.Errorf("%d left", status.Left)
	}
}

// Two devices at once: both end, neither with more than its own guess.
func TestTwoDevices(t *testing.T) {
	r, ctx := newRig(t), within(t)
	p := payload()
	_, err := r.vault(t, nil).Register(ctx, right, p)
	must(t, err)
	before := r.counter.Evaluations()
	first, second := r.vault(t, nil), r.vault(t, nil)
	overtaken := &line{drop: func(post int) bool {
		if post == 2 { // between its status and its start the other device is quicker
			if _, _, err := second.Recover(ctx, right); err != nil {
				t.Error(err)
			}
		}
		return false
	}}
	first.HTTP.Transport = overtaken
	got, _, err := first.Recover(ctx, right)
	must(t, err)
	if !same(got, p) {
		t.Error("another payload")
	}
	if n := r.counter.Evaluations() - before; n != 2 {
		t.Errorf("%d guesses evaluated for two", n)
	}
}

// relays is a network that a test steers: of post number at, it does what
// carry does, which may carry the request over as often as it likes.
type relays struct {
	posts, at int
	carry     func(over func() *http.Response) *http.Response
	t         *testing.T
}

func (l *relays) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost {
		return http.DefaultTransport.RoundTrip(req)
	}
	if l.posts++; l.posts != l.at {
		return http.DefaultTransport.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	must(l.t, err)
	return l.carry(func() *http.Response {
		again := req.Clone(req.Context())
		again.Body = io.NopCloser(bytes.NewReader(body))
		res, err := http.DefaultTransport.RoundTrip(again)
		must(l.t, err)
		return res
	}), nil
}

// Nodes carried a guess out, lost its answer, and asked once more when another
// device had taken the next slot: "slot" is the answer. The guess may have been
// charged, and was: no second one is made.
func TestAskedAgainTooLate(t *testing.T) {
	r, ctx := newRig(t), within(t)
	_, err := r.vault(t, nil).Register(ctx, right, payload())
	must(t, err)
	before := r.counter.Evaluations()
	v := r.vault(t, &relays{t: t, at: 2, carry: func(over func() *http.Response) *http.Response {
		must(t, over().Body.Close())
		_, _, err := r.vault(t, nil).Recover(ctx, right)
		must(t, err)
		return over()
	}})
	if _, _, err := v.Recover(ctx, right); !errors.Is(err, client.ErrOutcomeUnknown) {
		t.Errorf("our guess was charged, and the error does not say that it may have been: %v", err)
	}
	if n := r.counter.Evaluations() - before; n != 2 {
		t.Errorf("%d guesses evaluated for two", n)
	}
}

// Whose request was lost before another device took the slot was not charged,
// and the vault's refusal shows it: the guess is made, and nobody is frightened.
func TestOvertakenIsNotCharged(t *testing.T) {
	for _, replace := range []bool{false, true} {
		r, ctx := newRig(t), within(t)
		p := payload()
		_, err := r.vault(t, nil).Register(ctx, right, p)
		must(t, err)
		before := r.counter.Evaluations()
		v := r.vault(t, &line{early: true, drop: func(post int) bool {
			if post != 2 {
				return false
			}
			other := r.vault(t, nil)
			if replace {
				_, err = other.Replace(ctx, right, p)
			} else {
				_, _, err = other.Recover(ctx, right)
			}
			must(t, err)
			return true
		}})
		got, _, err := v.Recover(ctx, right)
		must(t, err)
		if !same(got, p) {
			t.Error("another payload")
		}
		if n := r.counter.Evaluations() - before; n != 2 { // a registration has one of its own
			t.Errorf("%d evaluations", n)
		}
	}
}

// A registration whose answers are lost is there or not there, and the client
// knows which.
func TestRegisterOverABadLine(t *testing.T) {
	for lost := 1; lost <= 4; lost++ { // status, start, finish, status
		r, ctx := newRig(t), within(t)
		p := payload()
		l := &line{drop: func(post int) bool { return post == lost }}
		status, err := r.vault(t, l).Register(ctx, right, p)
		if err != nil {
			t.Fatalf("answer %d lost: %v", lost, err)
		}
		if status.State != wire.StateLive {
			t.Errorf("%+v", status)
		}
		got, _, err := r.vault(t, nil).Recover(ctx, right)
		must(t, err)
		if !same(got, p) {
			t.Error("another payload")
		}
	}
}

func TestReplaceAndDeleteOverABadLine(t *testing.T) {
	for lost := 1; lost <= 3; lost++ {
		r, ctx := newRig(t), within(t)
		p := payload()
		_, err := r.vault(t, nil).Register(ctx, right, p)
		must(t, err)
		l := &line{drop: func(post int) bool { return post == lost }}
		_, err = r.vault(t, l).Replace(ctx, another, p)
		must(t, err)
		if _, _, err := r.vault(t, nil).Recover(ctx, another); err != nil {
			t.Errorf("replaced with answer %d lost: %v", lost, err)
		}
		l = &line{drop: func(post int) bool { return post == lost }}
		status, err := r.vault(t, l).Delete(ctx, p.Key)
		must(t, err)
		if status.State != wire.StateDeleted {
			t.Errorf("%+v", status)
		}
	}
}
