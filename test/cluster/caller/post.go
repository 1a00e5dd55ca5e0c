//go:build linux

package caller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
	"strongroom/test/cluster/history"
	"strongroom/test/cluster/island"
)

// Line is a caller's way to the boxes.
type Line struct {
	Island *island.Island
	HTTP   *http.Client
	Within time.Duration // of one request

	Surprise func(error) // is told what no honest island says
}

// errUnsent: no byte of the request left.
var errUnsent = errors.New("caller: no box to be reached")

// ask seals a first trip and sends it to a box. errUnsent: it was not asked.
func (l *Line) ask(box int, tokens tokens, first wire.First) (answer *wire.Answer, e *channel.Exchange, known bool, err error) {
	first.Version, first.Token = wire.Version, tokens.vault
	plain, err := wire.Encode(&first)
	if err != nil {
		return nil, nil, false, err
	}
	fleet := l.Island.Fleet
	public, err := channel.ParsePublicKey(fleet.KEM, fleet.Channel)
	if err != nil {
		return nil, nil, false, err
	}
	sealed, e, err := channel.SealFirst(public, fleet.ID, plain)
	if err != nil {
		return nil, nil, false, err
	}
	answer, known, err = l.exchange(box, tokens, sealed, e)
	return answer, e, known, err
}

// askSecond sends the second trip of e.
func (l *Line) askSecond(box int, tokens tokens, e *channel.Exchange, ticket []byte, second wire.Second) (answer *wire.Answer, known bool, err error) {
	second.Version = wire.Version
	plain, err := wire.Encode(&second)
	if err != nil {
		return nil, false, err
	}
	sealed, exchange, err := e.SealSecond(ticket, plain)
	if err != nil {
		return nil, false, err
	}
	return l.exchange(box, tokens, sealed, exchange)
}

// exchange sends one sealed request. known false: whether it was carried out,
// and with what outcome, is open.
func (l *Line) exchange(box int, tokens tokens, sealed []byte, e *channel.Exchange) (answer *wire.Answer, known bool, err error) {
	body, refused, err := l.post(box, tokens.relay, sealed)
	if err != nil {
		if errors.Is(err, errUnsent) {
			return nil, false, err
		}
		return nil, false, nil
	}
	if refused != "" {
		return l.inClear(refused)
	}
	plain, err := e.OpenAnswer(body)
	if err != nil { // garbled on a line of TLS? Never
		l.Surprise(fmt.Errorf("an answer of box %d does not open: %w", box, err))
		return nil, false, nil
	}
	if answer, err = wire.DecodeAnswer(plain); err != nil {
		l.Surprise(fmt.Errorf("an answer of box %d does not parse: %w", box, err))
		return nil, false, nil
	}
	switch answer.Refused {
	case wire.CodeUnavailable, wire.CodeUnknown: // it may still happen (spec/island.md)
		return nil, false, nil
	case wire.CodeToken, wire.CodeMalformed, wire.CodeTranscript, wire.CodeProof, wire.CodeWait, wire.CodeLifetime, wire.CodePending:
		l.Surprise(fmt.Errorf("box %d refuses with %q what is right", box, answer.Refused))
	}
	return answer, true, nil
}

// inClear is a refusal outside any seal.
func (l *Line) inClear(refused wire.Code) (*wire.Answer, bool, error) {
	switch refused {
	case wire.CodeTicket: // a box could not open it: it did nothing
		return &wire.Answer{Refused: refused}, true, nil
	case wire.CodeUnavailable, wire.CodeUnknown, wire.CodeSealing:
		return nil, false, nil
	}
	l.Surprise(fmt.Errorf("a relay refuses with %q", refused))
	return nil, false, nil
}

// post sends to a box's relay and gives what came, sealed, or its refusal in
// clear.
func (l *Line) post(box int, token string, sealed []byte) (body []byte, refused wire.Code, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.Within)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.Island.Box[box].URL()+"/v1/vault", bytes.NewReader(sealed))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := l.HTTP.Do(req)
	if err != nil && !connected.Load() {
		return nil, "", errUnsent
	}
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, wire.AnswerBytesMax+1)); err != nil {
		return nil, "", err
	}
	if res.StatusCode == http.StatusOK {
		return body, "", nil
	}
	var said struct {
		Refused wire.Code `json:"refused"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Refused == "" {
		return nil, "", fmt.Errorf("HTTP status %d", res.StatusCode)
	}
	return nil, said.Refused, nil
}

// noted is an answer as a history keeps it.
func noted(a *wire.Answer, known bool) history.Answer {
	if !known {
		return history.Answer{}
	}
	n := history.Answer{Known: true, Refused: a.Refused, Report: a.Status}
	if a.RecoverStart != nil {
		n.KE2 = sum(a.RecoverStart.KE2)
	}
	return n
}
