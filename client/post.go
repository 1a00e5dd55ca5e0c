package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
)

const refusalBytesMax = 4 << 10 // a refusal in clear

// ask seals one first trip, posts it, opens its answer. The error is of this
// package and says what is known of the outcome.
func (v *Vault) ask(ctx context.Context, at *island, first wire.First) (*wire.Answer, *channel.Exchange, error) {
	tokens, err := v.Tokens.Tokens(ctx)
	if err != nil {
		return nil, nil, err
	}
	if tokens.Account != "" && tokens.Account != v.Account {
		return nil, nil, fmt.Errorf("%w: they are for account %q, not for %q", ErrTokens, tokens.Account, v.Account)
	}
	first.Version, first.Token = wire.Version, tokens.Vault
	plain, err := wire.Encode(&first)
	if err != nil {
		return nil, nil, err
	}
	public, err := channel.ParsePublicKey(at.KEM, at.Channel)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	sealed, exchange, err := channel.SealFirst(public, at.ID, plain)
	if err != nil {
		return nil, nil, err
	}
	within := v.timeout()
	if first.Watch != nil {
		within += wire.WatchMillisMax * time.Millisecond
	}
	answer, err := v.exchange(ctx, at, within, tokens.Relay, sealed, exchange)
	return answer, exchange, err
}

// askSecond is the second trip of e, with the ticket that the first brought.
func (v *Vault) askSecond(ctx context.Context, at *island, e *channel.Exchange, ticket []byte, second wire.Second) (*wire.Answer, error) {
	tokens, err := v.Tokens.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	second.Version = wire.Version
	plain, err := wire.Encode(&second)
	if err != nil {
		return nil, err
	}
	sealed, exchange, err := e.SealSecond(ticket, plain)
	if err != nil {
		return nil, err
	}
	return v.exchange(ctx, at, v.timeout(), tokens.Relay, sealed, exchange)
}

// exchange posts a sealed request and opens its answer. A refusal inside the
// seal comes back as the answer and its error.
func (v *Vault) exchange(ctx context.Context, at *island, within time.Duration, relayToken string, sealed []byte, e *channel.Exchange) (*wire.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := v.post(ctx, at, relayToken, sealed)
	if err != nil {
		return nil, err
	}
	plain, err := e.OpenAnswer(body)
	if err != nil { // somebody between garbled it: the vault may have acted
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	answer, err := wire.DecodeAnswer(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return answer, refusal(answer.Refused)
}

// post sends one sealed request to the relay. ErrUnreachable means that no
// byte of it was sent, or (then it is hearsay) that the relay says so; once it
// may have left, a broken line is ErrOutcomeUnknown.
func (v *Vault) post(ctx context.Context, at *island, relayToken string, sealed []byte) ([]byte, error) {
	base, err := v.base()
	if err != nil {
		return nil, err
	}
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("v1", "vault", at.name).String(), bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+relayToken)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := v.http().Do(req)
	if err != nil {
		if !connected.Load() { // there was nothing to send it over
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, withoutURL(err))
		}
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, withoutURL(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, clearRefusal(res)
	}
	body, err := readAtMost(res.Body, wire.AnswerBytesMax)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return body, nil
}

// clearRefusal is what the relay says by itself, outside any seal.
//
// The attacks of a stolen relay that it stops:
//  1. Carry a request over, then answer "destroyed" or "deleted": what only
//     the box knows is taken only from inside its seal.
//  2. Answer "slot" to each guess, so that the client makes another and
//     another: the same.
//  3. Carry a guess over, then deny it ("busy", "your token"): it stays
//     hearsay, which ends no doubt (see Recovery.outcome).
//  4. Write to the terminal: none of its words is repeated.
func clearRefusal(res *http.Response) error {
	var said struct {
		Refused wire.Code `json:"refused"`
	}
	body, err := readAtMost(res.Body, refusalBytesMax)
	if err == nil {
		err = json.Unmarshal(body, &said)
	}
	switch {
	case err == nil && inClear(said.Refused):
		return &hearsay{refusal(said.Refused)}
	case res.StatusCode == http.StatusUnauthorized:
		return &hearsay{fmt.Errorf("%w: HTTP status %d", ErrTokenRefused, res.StatusCode)}
	case res.StatusCode == http.StatusTooManyRequests:
		return &hearsay{fmt.Errorf("%w: HTTP status %d", ErrUnreachable, res.StatusCode)}
	}
	// A proxy's own page, say: the vault behind it may have acted.
	return fmt.Errorf("%w: HTTP status %d instead of an answer", ErrOutcomeUnknown, res.StatusCode)
}

// inClear are the codes that an honest relay, or a box that could not open
// the request, says outside the seal.
func inClear(c wire.Code) bool {
	switch c {
	case wire.CodeRelayToken, wire.CodeTooLarge, wire.CodeRateLimited, wire.CodeSealing,
		wire.CodeMalformed, wire.CodeTicket, wire.CodeUnavailable, wire.CodeUnknown, wire.CodeIsland:
		return true
	}
	return false
}

// hearsay is a refusal on the relay's word alone: whether the vault acted is
// not known.
type hearsay struct{ error }

func (h *hearsay) Unwrap() error { return h.error }

func isHearsay(err error) bool {
	var h *hearsay
	return errors.As(err, &h)
}
