//go:build linux

package caller

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"strongroom/protocol/wire"
	"strongroom/test/cluster/history"
)

const (
	triesMax = 12
	tryPause = 50 * time.Millisecond
)

// Caller is one client; it asks one thing after the other. Not for two
// goroutines.
type Caller struct {
	Number int
	Line   *Line
	Dice   *mathrand.Rand
	Prompt bool          // shows every proof at once
	Stop   chan struct{} // ends tries; nil: never

	Retries int // requests sent again under the same slot and KE1, or with the same registration
	Logins  int // whole ones, to the opened key
	Guesses int // wrong ones that were answered
}

// errGaveUp: no box answered, or nothing could be made of it.
var errGaveUp = errors.New("caller: gave up")

// box draws one.
func (c *Caller) box() int { return c.Dice.IntN(len(c.Line.Island.Box)) }

// again waits for another try; false: no more of them.
func (c *Caller) again() bool {
	c.Retries++
	select {
	case <-c.Stop:
		return false
	case <-time.After(tryPause):
		return true
	}
}

// do sends a request, notes it, and says whether its answer is known. Where
// the box could not be reached nothing was asked, and nothing is noted.
func (c *Caller) do(a *Account, ask history.Ask, send func() (*wire.Answer, bool, error)) (answer *wire.Answer, err error) {
	a.count()
	unsent := errors.New("unsent")
	call := a.Begin()
	answer, known, err := send()
	if errors.Is(err, errUnsent) {
		return nil, unsent
	}
	if err != nil {
		return nil, err
	}
	a.Note(c.Number, call, ask, noted(answer, known))
	if !known {
		return nil, errGaveUp
	}
	return answer, nil
}

// first sends a first trip until its answer is known.
func (c *Caller) first(a *Account, ask history.Ask, first wire.First) (answer *wire.Answer, e *exchange, err error) {
	box := c.box()
	for try := range triesMax {
		if try > 0 && !c.again() {
			break
		}
		answer, err = c.do(a, ask, func() (*wire.Answer, bool, error) {
			answer, x, known, err := c.Line.ask((box+try)%len(c.Line.Island.Box), a.tokens, first)
			e = x
			return answer, known, err
		})
		if err == nil {
			return answer, e, nil
		}
	}
	return nil, nil, errGaveUp
}

// Status reads where the account stands.
func (c *Caller) Status(a *Account) (*wire.StatusReport, error) {
	answer, _, err := c.first(a, history.Ask{Kind: history.Status}, wire.First{Status: &wire.StatusRequest{}})
	if err != nil || answer.Status == nil {
		return nil, errGaveUp
	}
	return answer.Status, nil
}

// Login guesses with the right password, and shows the proof.
func (c *Caller) Login(a *Account, at *wire.StatusReport) error {
	return c.guess(a, at.Generation, at.Slot+1, a.password())
}

// Wrong guesses with a wrong one, and has no proof.
func (c *Caller) Wrong(a *Account, at *wire.StatusReport) error {
	return c.guess(a, at.Generation, at.Slot+1, fmt.Appendf(nil, "a wrong one, %d", c.Dice.Uint64()))
}

func (c *Caller) guess(a *Account, g wire.Generation, slot uint64, password []byte) error {
	ke1, login, err := c.Line.opaque(a).StartLogin(password)
	if err != nil {
		return err
	}
	start := wire.RecoverStart{Generation: g, Slot: slot, KE1: ke1}
	var p *proof
	for range triesMax { // a ticket is its leader's: begin again, free of charge
		answer, e, err := c.first(a, asked(start), wire.First{RecoverStart: &start})
		a.remember(start, nil)
		if err != nil || answer.Refused != "" || answer.RecoverStart == nil {
			return err
		}
		if p == nil { // later answers are the same bytes: the history sees to it
			ke3, session, _, err := login.Finish(answer.RecoverStart.KE2, argon2id())
			if err != nil {
				c.Guesses++
				return nil // a wrong password, found out here
			}
			p = &proof{start: start, ke3: ke3, session: session}
		}
		p.exchange, p.ticket = e, answer.RecoverStart.Ticket
		a.remember(start, p)
		if !c.Prompt && c.Dice.IntN(10) == 0 {
			return nil // shown later, or never
		}
		answer, err = c.show(a, p)
		if err != nil || answer.Refused != wire.CodeTicket {
			return err
		}
	}
	return errGaveUp
}

// show sends a proof until its answer is known.
func (c *Caller) show(a *Account, p *proof) (answer *wire.Answer, err error) {
	ask := history.Ask{Kind: history.Finish, Generation: p.start.Generation, Slot: p.start.Slot}
	answer, err = c.second(a, ask, p.exchange, p.ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: p.ke3}})
	if err != nil || answer.RecoverFinish == nil {
		return answer, err
	}
	if err := a.verify(c.Line.Island.Fleet.ID, p, answer.RecoverFinish.SealedKey); err != nil {
		c.Line.Surprise(err)
	}
	c.Logins++
	return answer, nil
}

// second sends a second trip until its answer is known.
func (c *Caller) second(a *Account, ask history.Ask, e *exchange, ticket []byte, second wire.Second) (answer *wire.Answer, err error) {
	box := c.box()
	for try := range triesMax {
		if try > 0 && !c.again() {
			break
		}
		answer, err = c.do(a, ask, func() (*wire.Answer, bool, error) {
			return c.Line.askSecond((box+try)%len(c.Line.Island.Box), a.tokens, e, ticket, second)
		})
		if err == nil {
			return answer, nil
		}
	}
	return nil, errGaveUp
}

// Register registers the account, over a live generation under its owner's
// signature.
func (c *Caller) Register(a *Account, replaces *wire.Generation) error {
	request, registration, err := c.Line.opaque(a).StartRegistration(a.password())
	if err != nil {
		return err
	}
	started, e, err := c.registerStart(a, request)
	if err != nil {
		return err
	}
	record, _, err := registration.Finish(started.Response, argon2id())
	if err != nil {
		return err
	}
	sealed := make([]byte, 1<<10)
	rand.Read(sealed)
	finish := wire.RegisterFinish{
		Transcript: started.Transcript(request), Record: record, SealedKey: sealed, Stretch: stretch, Replaces: replaces,
		Owner: [wire.OwnerKeyBytes]byte(a.owner.Public().(ed25519.PublicKey)),
	}
	finish.Signature = ed25519.Sign(a.owner, finish.Statement(c.Line.Island.Fleet.ID, a.Name, started.Generation))
	a.registering(started.Generation, sealed)
	ask := history.Ask{Kind: history.Register, Generation: started.Generation, Replaces: replaces, Root: true}
	_, err = c.second(a, ask, e, started.Ticket, wire.Second{RegisterFinish: &finish})
	return err
}

// registerStart changes nothing, so no history has it.
func (c *Caller) registerStart(a *Account, request []byte) (*wire.RegisterStartAnswer, *exchange, error) {
	box := c.box()
	for try := range triesMax {
		if try > 0 && !c.again() {
			break
		}
		answer, e, known, err := c.Line.ask((box+try)%len(c.Line.Island.Box), a.tokens, wire.First{RegisterStart: &wire.RegisterStart{Request: request}})
		if err == nil && known && answer.RegisterStart != nil {
			return answer.RegisterStart, e, nil
		}
	}
	return nil, nil, errGaveUp
}

// Delete deletes a generation under its owner's signature.
func (c *Caller) Delete(a *Account, g wire.Generation) error {
	signature := ed25519.Sign(a.owner, wire.DeleteStatement(c.Line.Island.Fleet.ID, a.Name, g))
	_, _, err := c.first(a, history.Ask{Kind: history.Delete, Generation: g}, wire.First{Delete: &wire.Delete{Generation: g, Signature: signature}})
	return err
}

func asked(s wire.RecoverStart) history.Ask {
	return history.Ask{Kind: history.Start, Generation: s.Generation, Slot: s.Slot, KE1: sum(s.KE1)}
}
