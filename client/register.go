package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
)

// Register makes the account's record: from now on the password gives the
// payload back. It writes nothing on this machine: the caller has the key in
// safety before. Where a record is live it is ErrLive (see Replace).
//
// Errors beside the vault's: ErrPasswordText, ErrPasswordWeak, ErrPayload.
func (v *Vault) Register(ctx context.Context, password string, p Payload) (wire.StatusReport, error) {
	return v.register(ctx, password, p, refuseLive)
}

// Replace puts a new generation in the place of the live one: another
// password, or the same key once more. It needs no old password, since the
// payload's key proves the owner; a record of another key is ErrOwner. Where
// nothing is live it registers.
func (v *Vault) Replace(ctx context.Context, password string, p Payload) (wire.StatusReport, error) {
	return v.register(ctx, password, p, replaceLive)
}

// Reset is for whoever has neither password nor key of the live record: the
// new one waits (the fleet's policy says how long; the status says until when)
// while the old one stays usable, and any proof of its password or key stops
// it. Where nothing is live, or the payload's key is the owner's, it registers
// at once. ErrPending: another one waits already.
func (v *Vault) Reset(ctx context.Context, password string, p Payload) (wire.StatusReport, error) {
	return v.register(ctx, password, p, resetLive)
}

// What a registration does with a live record.
type overLive int

const (
	refuseLive overLive = iota
	replaceLive
	resetLive
)

func (v *Vault) register(ctx context.Context, password string, p Payload, over overLive) (wire.StatusReport, error) {
	var none wire.StatusReport
	if err := errors.Join(v.checkAccount(), p.check(), checkStretch(v.stretch()), CheckPassword(password, v.Account)); err != nil {
		return none, err
	}
	secret, err := prepare(password)
	if err != nil {
		return none, err
	}
	for trial := 1; ; trial++ {
		w, err := v.find(ctx)
		if err != nil {
			return none, err
		}
		if live(w.status.State) && over == refuseLive {
			return w.status, ErrLive
		}
		after, err := w.register(ctx, secret, p, over)
		if codeOf(err) == wire.CodeLayout {
			v.forgetLayouts()
		}
		if err == nil || trial == trialsMax || !errors.Is(err, ErrRaced) {
			return after, err
		}
	}
}

// register registers where the account is. One that was replaced at an older
// home goes home then, or at its next success; one that is new goes there.
func (w *whereabouts) register(ctx context.Context, secret []byte, p Payload, over overLive) (wire.StatusReport, error) {
	isLive := live(w.status.State)
	if !isLive && w.closedAtHome() {
		return w.anew(ctx, secret, p)
	}
	e := &enrolment{vault: w.vault, at: w.at, payload: p}
	if isLive {
		e.replaces, e.reset = &w.status.Generation, over == resetLive
	}
	after, err := e.run(ctx, secret)
	if err != nil || w.at == w.home || after.Generation != e.started.Generation {
		return after, err
	}
	w.status = after
	moved, err := w.move(ctx, secret, p)
	if errors.Is(err, ErrArriving) { // a stranger waits there, whom receipts pass by
		moved, err = w.anew(ctx, secret, p)
	}
	if err != nil {
		moved, err = w.stopped(ctx, err)
	}
	if live(moved.State) {
		err = nil // it is registered, wherever
	}
	return moved, err
}

// enrolment is one registration on its way.
type enrolment struct {
	vault    *Vault
	at       *island
	payload  Payload
	replaces *wire.Generation
	reset    bool
	arrives  bool // it waits there for receipts

	started  *wire.RegisterStartAnswer
	exchange *channel.Exchange
	finish   wire.RegisterFinish
}

func (e *enrolment) run(ctx context.Context, secret []byte) (wire.StatusReport, error) {
	if err := e.prepare(ctx, secret); err != nil {
		return wire.StatusReport{}, err
	}
	return e.complete(ctx)
}

// complete is the second trip, until its outcome is known.
func (e *enrolment) complete(ctx context.Context) (wire.StatusReport, error) {
	var unknown error
	for try := 1; ; try++ {
		_, err := e.vault.askSecond(ctx, e.at, e.exchange, e.started.Ticket, wire.Second{RegisterFinish: &e.finish})
		if err == nil || unknown != nil || errors.Is(err, ErrOutcomeUnknown) || isHearsay(err) {
			// The status is the judge: a lost answer may have registered.
			status, statusErr := e.vault.status(ctx, e.at)
			if statusErr == nil && e.took(status) {
				return status, nil
			}
			if err == nil {
				return status, errors.Join(ErrRaced, statusErr)
			}
		}
		if !transient(err) {
			return wire.StatusReport{}, e.outcome(err)
		}
		unknown = err
		if try == triesMax || e.vault.pause(ctx, try) != nil {
			return wire.StatusReport{}, e.outcome(err)
		}
	}
}

// took: the registration is live, or waits: for its time, or for receipts.
func (e *enrolment) took(s wire.StatusReport) bool {
	if s.Pending != nil && s.Pending.Generation != nil && *s.Pending.Generation == e.started.Generation {
		return true
	}
	return s.Generation == e.started.Generation && (s.State == wire.StateLive || e.arrives && s.State == wire.StateArriving)
}

// outcome: a stolen relay may hold the finish back, deny it, and deliver it
// while its ticket is good; so its word does not mean that all stays as it was.
func (e *enrolment) outcome(err error) error {
	if isHearsay(err) && !errors.Is(err, ErrRaced) {
		return &restated{ErrOutcomeUnknown, err}
	}
	return err
}

// prepare runs the first trip and makes the second's message.
func (e *enrolment) prepare(ctx context.Context, secret []byte) error {
	oc, err := e.vault.opaque(e.at)
	if err != nil {
		return err
	}
	request, registration, err := oc.StartRegistration(secret)
	if err != nil {
		return err
	}
	if err := e.start(ctx, request); err != nil {
		return err
	}
	stretch := e.vault.stretch()
	record, exportKey, err := registration.Finish(e.started.Response, argon2id(stretch))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	at := place{e.at.ID, e.vault.Account, e.started.Generation, stretch}
	sealed, err := at.seal(exportKey, e.payload)
	if err != nil {
		return err
	}
	e.finish = wire.RegisterFinish{
		Transcript: e.started.Transcript(request), Record: record, SealedKey: sealed, Stretch: stretch, Replaces: e.replaces, Reset: e.reset,
	}
	return e.sign()
}

func (e *enrolment) start(ctx context.Context, request []byte) error {
	for try := 1; ; try++ {
		answer, exchange, err := e.vault.ask(ctx, e.at, wire.First{RegisterStart: &wire.RegisterStart{Request: request}})
		if err == nil && answer.RegisterStart == nil {
			return ErrAnswer
		}
		if err == nil {
			e.started, e.exchange = answer.RegisterStart, exchange
			return nil
		}
		if !transient(err) || try == triesMax || e.vault.pause(ctx, try) != nil {
			return unreachable(err)
		}
	}
}

func (e *enrolment) sign() error {
	owner, err := ownerKey(e.payload.Key, e.at.ID, e.vault.Account)
	if err != nil {
		return err
	}
	e.finish.Owner = [wire.OwnerKeyBytes]byte(owner.Public().(ed25519.PublicKey))
	// Where it replaces nothing it still may set back a count that a dead
	// record left behind.
	e.finish.Signature = ed25519.Sign(owner, e.finish.Statement(e.at.ID, e.vault.Account, e.started.Generation))
	return nil
}
