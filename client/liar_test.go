package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/protocol/wire"
)

// liar is a stolen relay: it carries a request to the vault and then, where
// lie says so, answers in clear what it likes.
type liar struct {
	posts  int
	lie    func(post int) bool
	status int
	line   string // the status line's words
	body   string
}

func (l *liar) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || req.Method != http.MethodPost {
		return res, err
	}
	l.posts++
	if !l.lie(l.posts) {
		return res, nil
	}
	_ = res.Body.Close()
	return &http.Response{
		StatusCode: l.status, Status: l.line, Header: http.Header{}, Request: req,
		Body: io.NopCloser(bytes.NewReader([]byte(l.body))),
	}, nil
}

func refusedAs(c wire.Code) string { return fmt.Sprintf(`{"refused":%q,"message":"x"}`, c) }

// What only the box knows is believed only under the box's seal. A stolen
// relay can not have a person believe that the record is gone, nor burn more
// guesses than she makes.
func TestRelayLiesInClear(t *testing.T) {
	inside := []wire.Code{
		wire.CodeDestroyed, wire.CodeDeleted, wire.CodeNoRecord, wire.CodeExhausted, wire.CodeSlot, wire.CodeGeneration,
		wire.CodeReplaces, wire.CodeOwner, wire.CodeProof, wire.CodeTranscript, wire.CodeToken,
	}
	for _, c := range inside {
		for from := 1; from <= 3; from++ { // of status, start, finish
			t.Run(fmt.Sprintf("%s from post %d", c, from), func(t *testing.T) {
				r, ctx := newRig(t), within(t)
				_, err := r.vault(t, nil).Register(ctx, right, payload())
				must(t, err)
				l := &liar{lie: func(post int) bool { return post >= from }, status: http.StatusBadRequest, body: refusedAs(c)}
				_, _, err = r.vault(t, l).Recover(ctx, right)
				if !errors.Is(err, client.ErrOutcomeUnknown) && !errors.Is(err, client.ErrUnreachable) {
					t.Errorf("the relay's word was taken for the vault's: %v", err)
				}
				if from > 1 && !errors.Is(err, client.ErrOutcomeUnknown) {
					t.Errorf("a guess was used, and the error denies it: %v", err)
				}
				status, err := r.vault(t, nil).Status(ctx)
				must(t, err)
				if status.Slot > 1 {
					t.Errorf("%d guesses were charged for one", status.Slot)
				}
			})
		}
	}
}

// "Another device was quicker" makes the client guess again under the next
// slot: a relay that says it at each start must not multiply the guesses.
func TestRelayDoesNotMultiplyGuesses(t *testing.T) {
	for _, c := range []wire.Code{wire.CodeSlot, wire.CodeGeneration, wire.CodeReplaces, wire.CodeTicket} {
		r, ctx := newRig(t), within(t)
		_, err := r.vault(t, nil).Register(ctx, right, payload())
		must(t, err)
		l := &liar{lie: func(post int) bool { return post%2 == 0 }, status: http.StatusBadRequest, body: refusedAs(c)} // the starts
		_, _, _ = r.vault(t, l).Recover(ctx, right)
		status, err := r.vault(t, nil).Status(ctx)
		must(t, err)
		if status.Slot != 1 {
			t.Errorf("%s: %d guesses were charged for one", c, status.Slot)
		}
	}
}

// A relay that says "busy" after it carried the guess over is not believed
// that none was used, and the same guess again is free.
func TestRelayDeniesTheGuess(t *testing.T) {
	for _, c := range []wire.Code{wire.CodeUnavailable, wire.CodeRateLimited, wire.CodeRelayToken, wire.CodeTooLarge, wire.CodeSealing, wire.CodeMalformed, wire.CodeTicket} {
		for from := 2; from <= 3; from++ { // of start, finish
			t.Run(fmt.Sprintf("%s from post %d", c, from), func(t *testing.T) {
				r, ctx := newRig(t), within(t)
				p := payload()
				_, err := r.vault(t, nil).Register(ctx, right, p)
				must(t, err)
				before, lying := r.counter.Evaluations(), true
				l := &liar{lie: func(post int) bool { return lying && post >= from }, status: http.StatusServiceUnavailable, body: refusedAs(c)}
				guess, err := r.vault(t, l).Begin(right)
				must(t, err)
				if _, _, err := guess.Run(ctx); !errors.Is(err, client.ErrOutcomeUnknown) {
					t.Errorf("a guess was used, and the error denies it: %v", err)
				}
				lying = false
				got, _, err := guess.Run(ctx)
				must(t, err)
				if !same(got, p) {
					t.Error("another payload")
				}
				if n := r.counter.Evaluations() - before; n != 1 {
					t.Errorf("%d guesses evaluated for one", n)
				}
			})
		}
	}
}

// A registration that the vault carried out is found, whatever the relay says.
func TestRelayDeniesTheRegistration(t *testing.T) {
	for _, c := range []wire.Code{wire.CodeReplaces, wire.CodeTicket, wire.CodeOwner, wire.CodeSealing, wire.CodeRelayToken, wire.CodeUnavailable} {
		r, ctx := newRig(t), within(t)
		p := payload()
		l := &liar{lie: func(post int) bool { return post == 3 }, status: http.StatusBadRequest, body: refusedAs(c)} // status, start, finish
		if _, err := r.vault(t, l).Register(ctx, right, p); err != nil {
			t.Errorf("%s: registered, and the client says: %v", c, err)
		}
		if got, _, err := r.vault(t, nil).Recover(ctx, right); err != nil || !same(got, p) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// A relay that keeps the finish of a registration and says "busy" may deliver
// it later: the client does not say that nothing happened.
func TestRelayHoldsTheRegistrationBack(t *testing.T) {
	for _, c := range []wire.Code{wire.CodeUnavailable, wire.CodeRelayToken, wire.CodeSealing} {
		r, ctx := newRig(t), within(t)
		posts := 0
		hold := roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return http.DefaultTransport.RoundTrip(req)
			}
			// status, start, then finish and status in turn
			if posts++; posts < 3 || posts%2 == 0 {
				return http.DefaultTransport.RoundTrip(req)
			}
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Request: req,
				Body: io.NopCloser(strings.NewReader(refusedAs(c)))}, nil
		})
		if _, err := r.vault(t, hold).Register(ctx, right, payload()); !errors.Is(err, client.ErrOutcomeUnknown) {
			t.Errorf("%s: %v", c, err)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// The relay's own words do not reach the terminal: they could move its cursor
// and write over what the client said.
func TestRelaysWordsAreNotPrinted(t *testing.T) {
	const escape = "\x1b[2J all is lost"
	r, ctx := newRig(t), within(t)
	for _, status := range []int{302, 400, 401, 404, 429, 500, 503} {
		for _, body := range []string{"", escape, refusedAs(escape), `{"refused":"` + strings.Repeat("a", 300) + `"}`} {
			l := &liar{lie: func(int) bool { return true }, status: status, line: "503 " + escape, body: body}
			_, err := r.vault(t, l).Status(ctx)
			if err == nil || strings.Contains(err.Error(), "lost") || strings.Contains(err.Error(), "aaaa") {
				t.Errorf("status %d, body %.20q: %q", status, body, err)
			}
		}
	}
}
