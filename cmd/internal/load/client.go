//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

const (
	password   = "a right good password"
	answerIn   = 30 * time.Second
	repository = "file:///nowhere" // of the payload
)

// account is one client: a registered account and a connection of its own.
type account struct {
	name       string
	server     *server
	generation wire.Generation
	slot       uint64

	line    net.Conn
	answers *bufio.Reader
	ready   []prepared // logins that are begun, in the order of their slots
}

// prepared is a login whose first trip is sealed already: what a client does
// before it speaks is not the server's load.
type prepared struct {
	tokens   serve.Tokens // its own, as if each login were another person's
	sealed   []byte
	exchange *channel.Exchange
	login    *opaque.Login
	slot     uint64
}

// register makes the account's record by the real client.
func register(ctx context.Context, s *server, name string) (*account, error) {
	tokens, err := s.tokens(name)
	if err != nil {
		return nil, err
	}
	v := &client.Vault{URL: s.url, Pin: s.pin, Account: name, Tokens: client.Tokens(tokens), Stretch: stretch}
	status, err := v.Register(ctx, password, client.Payload{Key: client.NewKey(), RepositoryURL: repository})
	if err != nil {
		return nil, err
	}
	return &account{name: name, generation: status.Generation, slot: status.Slot}, nil
}

// connect opens the account's connection to a server that has its record.
func (a *account) connect(s *server) (err error) {
	address, err := url.Parse(s.url)
	if err != nil {
		return err
	}
	if a.line != nil {
		a.line.Close()
	}
	if a.line, err = net.Dial("tcp", address.Host); err != nil {
		return err
	}
	a.server, a.answers = s, bufio.NewReaderSize(a.line, 16<<10)
	return nil
}

// prepare begins n logins: KE1, the token and the seal of each first trip.
func (a *account) prepare(n int) error {
	suite, err := opaque.SuiteByID(a.server.fleet.Suite)
	if err != nil {
		return err
	}
	public, err := channel.ParsePublicKey(a.server.fleet.KEM, a.server.fleet.Channel)
	if err != nil {
		return err
	}
	oc := &opaque.Client{
		Suite: suite, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte(a.name),
		ServerIdentity: a.server.fleet.ID[:], ServerPublicKey: a.server.fleet.AKE,
	}
	for range n {
		a.slot++
		p := prepared{slot: a.slot}
		if p.tokens, err = a.server.tokens(a.name); err != nil {
			return err
		}
		var ke1 []byte
		if ke1, p.login, err = oc.StartLogin([]byte(password)); err != nil {
			return err
		}
		plain, err := wire.Encode(&wire.First{Version: wire.Version, Token: p.tokens.Vault,
			RecoverStart: &wire.RecoverStart{Generation: a.generation, Slot: a.slot, KE1: ke1}})
		if err != nil {
			return err
		}
		if p.sealed, p.exchange, err = channel.SealFirst(public, a.server.fleet.ID, plain); err != nil {
			return err
		}
		a.ready = append(a.ready, p)
	}
	return nil
}

// login carries the next prepared login out: both trips, to the opened
// payload. The server proved the password and gave the key out, or it fails.
func (a *account) login() error {
	if len(a.ready) == 0 {
		return errors.New("no login is prepared")
	}
	p := a.ready[0]
	a.ready = a.ready[1:]
	first, err := a.trip(p, p.sealed, p.exchange)
	if err != nil {
		return fmt.Errorf("first trip: %w", err)
	}
	if first.RecoverStart == nil {
		return errors.New("first trip: another answer than asked for")
	}
	ke3, session, _, err := p.login.Finish(first.RecoverStart.KE2, opaque.Argon2id{Time: stretch.Time, MemoryKiB: stretch.MemoryKiB, Threads: stretch.Threads})
	if err != nil {
		return err
	}
	plain, err := wire.Encode(&wire.Second{Version: wire.Version, RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	if err != nil {
		return err
	}
	sealed, exchange, err := p.exchange.SealSecond(first.RecoverStart.Ticket, plain)
	if err != nil {
		return err
	}
	second, err := a.trip(p, sealed, exchange)
	if err != nil {
		return fmt.Errorf("second trip: %w", err)
	}
	if second.RecoverFinish == nil {
		return errors.New("second trip: another answer than asked for")
	}
	_, err = channel.OpenUnderSession(session, a.server.fleet.ID, a.name, a.generation, p.slot, second.RecoverFinish.SealedKey)
	return err
}

// loginOver is a whole login, KE1 and seal included, over a connection that
// others use too. An attempt that failed has its slot.
func (a *account) loginOver(s *server, line net.Conn) error {
	a.server, a.line, a.answers = s, line, bufio.NewReaderSize(line, 16<<10)
	a.ready = nil
	if err := a.prepare(1); err != nil {
		return err
	}
	return a.login()
}

// resync learns after a login that failed which attempt is the account's last.
func (a *account) resync(ctx context.Context, s *server) {
	tokens, err := s.tokens(a.name)
	if err != nil {
		return
	}
	v := &client.Vault{URL: s.url, Pin: s.pin, Account: a.name, Tokens: client.Tokens(tokens)}
	if status, err := v.Status(ctx); err == nil {
		a.generation, a.slot = status.Generation, status.Slot
	}
}

// trip posts one sealed request and opens its answer.
func (a *account) trip(p prepared, sealed []byte, e *channel.Exchange) (*wire.Answer, error) {
	body, err := a.post(p.tokens.Relay, sealed)
	if err != nil {
		return nil, err
	}
	plain, err := e.OpenAnswer(body)
	if err != nil {
		return nil, err
	}
	answer, err := wire.DecodeAnswer(plain)
	if err == nil && answer.Refused != "" {
		err = fmt.Errorf("refused: %s", answer.Refused)
	}
	return answer, err
}

// post is HTTP/1.1 on the account's own connection, kept open. Written by
// hand: a client of net/http would take a third of the machine's time.
func (a *account) post(token string, sealed []byte) ([]byte, error) {
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST /v1/vault HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		token, len(sealed))
	request.Write(sealed)
	if err := a.line.SetDeadline(time.Now().Add(answerIn)); err != nil {
		return nil, err
	}
	if _, err := a.line.Write(request.Bytes()); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(a.answers, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}
