package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// Recover asks for the payload with the password, once. One guess is used
// when the vault answers, however many answers were lost on the way.
func (v *Vault) Recover(ctx context.Context, password string) (Payload, wire.StatusReport, error) {
	r, err := v.Begin(password)
	if err != nil {
		return Payload{}, wire.StatusReport{}, err
	}
	return r.Run(ctx)
}

// Recovery is one guess. It remembers its slot and its KE1, so that running
// it again after ErrOutcomeUnknown repeats the same guess free of charge. Not
// for two goroutines at once.
type Recovery struct {
	vault    *Vault
	password []byte

	where  *whereabouts  // under which the guess was begun
	at     *island       // where.at
	login  *opaque.Login // of ke1; nil: not yet begun
	ke1    []byte
	status wire.StatusReport // under which the guess was begun
	slot   uint64
	sent   bool   // a request with ke1 may have reached the vault
	spared bool   // the vault's refusal shows that ke1 was charged to nobody, and never will be
	proof  *Proof // set once the password proved right
	stays  error  // why the account did not move
}

// Format keeps the password out of logs.
func (*Recovery) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// Begin prepares a guess; nothing is sent. Errors: ErrPasswordText.
func (v *Vault) Begin(password string) (*Recovery, error) {
	if err := v.checkAccount(); err != nil {
		return nil, err
	}
	secret, err := prepare(password)
	if err != nil {
		return nil, err
	}
	return &Recovery{vault: v, password: secret}, nil
}

// Run makes the guess, or repeats the one whose answer was lost.
func (r *Recovery) Run(ctx context.Context) (Payload, wire.StatusReport, error) {
	for trial := 1; ; trial++ {
		if err := r.begin(ctx); err != nil {
			return Payload{}, r.status, r.outcome(err)
		}
		payload, status, err := r.guess(ctx)
		if err == nil {
			return payload, r.moveHome(ctx, payload, status), nil
		}
		if !errors.Is(err, ErrRaced) {
			return payload, status, r.outcome(err)
		}
		if codeOf(err) == wire.CodeTicket { // it ran out: the same slot and KE1 get a fresh one, free
			if trial < trialsMax {
				continue
			}
			return payload, status, &restated{ErrOutcomeUnknown, err}
		}
		// Nodes may have carried ours out before the other device's, and asked
		// once more for the answer that they lost: a new guess is the person's
		// to choose then, not ours.
		if !r.spared {
			err = &restated{ErrOutcomeUnknown, err}
		}
		if !r.spared || trial == trialsMax {
			*r = Recovery{vault: r.vault, password: r.password}
			return payload, status, err
		}
		*r = Recovery{vault: r.vault, password: r.password}
	}
}

// spares tells whether a sealed refusal shows that nobody was charged for our
// KE1. The account's slot only goes up, and stood one below ours when we chose
// it. Where it is ours now, another KE1 has it: ours would have been answered.
// Where a new registration came first, or the account left for another island,
// it must still be below. A slot that went
// on hides whose ours was.
func (r *Recovery) spares(a *wire.Answer) bool {
	switch s := a.Status; {
	case s == nil:
		return false
	case a.Refused == wire.CodeSlot:
		return s.Generation == r.status.Generation && s.Slot == r.slot
	case a.Refused == wire.CodeGeneration, a.Refused == wire.CodeDeparted:
		return s.Slot < r.slot
	}
	return false
}

// moveHome takes an account that is not at home there, now that password and
// key are at hand. The status is that of where it got to: before its last step
// the record stays usable where it was.
func (r *Recovery) moveHome(ctx context.Context, p Payload, status wire.StatusReport) wire.StatusReport {
	if r.where.at == r.where.home {
		return status
	}
	r.where.status = status
	moved, err := r.where.move(ctx, r.password, p)
	if err != nil {
		moved, err = r.where.stopped(ctx, err)
	}
	r.stays = err
	return moved
}

// Stays is nil, or why the account did not get to its new island after a guess
// that was right. It goes on at the next one, or, where the status that Run
// gave is not live, at the next question.
func (r *Recovery) Stays() error { return r.stays }

// outcome makes sure that no error claims "no guess used" after one may have
// been. What the relay says is no such claim: a stolen one carries the guess
// over, denies it, and has the person spend another.
func (r *Recovery) outcome(err error) error {
	if err != nil && r.sent && (isHearsay(err) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTokenRefused) || errors.Is(err, ErrTokens) || errors.Is(err, context.Canceled)) {
		return &restated{ErrOutcomeUnknown, err}
	}
	return err
}

// begin learns generation and slot, and makes KE1.
func (r *Recovery) begin(ctx context.Context) error {
	if r.login != nil {
		return nil
	}
	w, err := r.vault.find(ctx)
	if err != nil {
		return err
	}
	status := w.status
	r.where, r.at, r.status = w, w.at, status
	if err := ErrState(status); err != nil {
		return err
	}
	if status.WaitUntilMillis != 0 { // the vault would refuse
		return &ErrWait{status}
	}
	oc, err := r.vault.opaque(r.at)
	if err != nil {
		return err
	}
	ke1, login, err := oc.StartLogin(r.password)
	if err != nil {
		return err
	}
	r.ke1, r.login, r.slot = ke1, login, status.Slot+1
	return nil
}

// guess runs both trips under the chosen slot.
func (r *Recovery) guess(ctx context.Context) (Payload, wire.StatusReport, error) {
	answer, exchange, err := r.start(ctx)
	if err != nil {
		return Payload{}, r.status, err
	}
	started := answer.RecoverStart
	if err := checkStretch(started.Stretch); err != nil {
		return Payload{}, r.status, err
	}
	ke3, sessionKey, exportKey, err := r.login.Finish(started.KE2, argon2id(started.Stretch))
	if errors.Is(err, opaque.ErrCredentials) {
		return Payload{}, r.status, &ErrWrongPassword{AttemptsLeft: int(r.status.Left), Status: r.status}
	}
	if err != nil {
		return Payload{}, r.status, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	r.proof = &Proof{
		Fleet: r.at.ID, Account: r.vault.Account, Generation: r.status.Generation, Slot: r.slot, Stretch: started.Stretch,
		KE1: r.ke1, KE3: ke3, SessionKey: sessionKey, ExportKey: exportKey,
	}
	return r.redeem(ctx, exchange, started.Ticket)
}

// redeem is the second trip, and what its answer opens to.
func (r *Recovery) redeem(ctx context.Context, e *channel.Exchange, ticket []byte) (Payload, wire.StatusReport, error) {
	p := r.proof
	finished, err := r.finish(ctx, e, ticket, p.KE3)
	if err != nil {
		return Payload{}, r.status, err
	}
	sealed, err := channel.OpenUnderSession(p.SessionKey, p.Fleet, p.Account, p.Generation, p.Slot, finished.SealedKey)
	if err != nil {
		return Payload{}, r.status, fmt.Errorf("%w: %w", ErrSealedKey, err)
	}
	payload, err := place{p.Fleet, p.Account, p.Generation, p.Stretch}.open(p.ExportKey, sealed)
	return payload, r.status, err
}

// start is the first trip, repeated with the same bytes until an answer comes.
func (r *Recovery) start(ctx context.Context) (*wire.Answer, *channel.Exchange, error) {
	request := wire.RecoverStart{Generation: r.status.Generation, Slot: r.slot, KE1: r.ke1}
	for try := 1; ; try++ {
		answer, exchange, err := r.vault.ask(ctx, r.at, wire.First{RecoverStart: &request})
		if answer != nil {
			r.learn(answer)
			r.spared = r.spares(answer)
		}
		if err == nil && (answer.RecoverStart == nil || answer.Status == nil || answer.Status.Generation != r.status.Generation) {
			return nil, nil, ErrAnswer
		}
		if err == nil {
			r.sent = true
			return answer, exchange, nil
		}
		if errors.Is(err, ErrOutcomeUnknown) || isHearsay(err) {
			r.sent = true
		}
		if errors.Is(err, errWait) {
			return nil, nil, r.mustWait()
		}
		if !transient(err) || try == triesMax || r.vault.pause(ctx, try) != nil {
			return nil, nil, err
		}
	}
}

// mustWait: the vault refused before it charged anything. What is charged
// already has its slot for itself, and is answered without a wait: so no guess
// of ours was used, but one of another device may have been. The next Run
// looks where the account stands.
func (r *Recovery) mustWait() error {
	e := &ErrWait{r.status}
	*r = Recovery{vault: r.vault, password: r.password, status: r.status}
	return e
}

// finish is the second trip; its retry is free too.
func (r *Recovery) finish(ctx context.Context, e *channel.Exchange, ticket, ke3 []byte) (*wire.RecoverFinishAnswer, error) {
	for try := 1; ; try++ {
		answer, err := r.vault.askSecond(ctx, r.at, e, ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
		if answer != nil {
			r.learn(answer)
		}
		if err == nil && answer.RecoverFinish == nil {
			return nil, ErrAnswer
		}
		if err == nil {
			return answer.RecoverFinish, nil
		}
		if !transient(err) || try == triesMax || r.vault.pause(ctx, try) != nil {
			return nil, err
		}
	}
}

// learn keeps the newest status, but never another generation's: the guess
// belongs to the one that it was begun under.
func (r *Recovery) learn(a *wire.Answer) {
	if a.Status != nil && a.Status.Generation == r.status.Generation {
		r.status = *a.Status
	}
}
