package client

import (
	"context"
	"errors"

	"strongroom/protocol/wire"
)

// Status asks what the vault keeps for the account. Free of charge.
func (v *Vault) Status(ctx context.Context) (wire.StatusReport, error) {
	if err := v.checkAccount(); err != nil {
		return wire.StatusReport{}, err
	}
	w, err := v.find(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	return w.status, nil
}

func (v *Vault) status(ctx context.Context, at *island) (wire.StatusReport, error) {
	answer, err := v.askFree(ctx, at, wire.First{Status: &wire.StatusRequest{}})
	if err != nil {
		return wire.StatusReport{}, err
	}
	if answer.Status == nil {
		return wire.StatusReport{}, ErrAnswer
	}
	return *answer.Status, nil
}

// askFree asks what costs nothing and changes nothing, as often as it takes:
// an answer that was lost is then no more than a vault out of reach.
func (v *Vault) askFree(ctx context.Context, at *island, first wire.First) (*wire.Answer, error) {
	for try := 1; ; try++ {
		answer, _, err := v.ask(ctx, at, first)
		if err == nil || !transient(err) {
			return answer, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return nil, unreachable(err)
		}
	}
}

// transient: asking again may help.
func transient(err error) bool {
	return errors.Is(err, ErrOutcomeUnknown) || errors.Is(err, ErrUnreachable)
}

// unreachable restates a lost answer for requests that use no guess.
func unreachable(err error) error {
	if errors.Is(err, ErrOutcomeUnknown) {
		return &restated{ErrUnreachable, err}
	}
	return err
}

// restated says of an error what else it means here.
type restated struct{ kind, cause error }

func (r *restated) Error() string { return r.kind.Error() + ": " + r.cause.Error() }
func (r *restated) Unwrap() error { return r.kind }
