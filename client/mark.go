package client

import (
	"context"
	"crypto/ed25519"
	"errors"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// Mark is a freshness mark: the newest head that a device wrote.
type Mark = wire.MarkReport

// Mark leaves a freshness mark; whoever holds k may. The same one again does
// nothing. Errors beside the vault's: ErrStale, ErrMarks, ErrState's.
func (v *Vault) Mark(ctx context.Context, k Key, m Mark) (wire.StatusReport, error) {
	fleet, err := v.Fleet(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	return v.asOwner(ctx, fleet, k, func(owner ed25519.PrivateKey, s wire.StatusReport) (wire.First, error) {
		if s.State != wire.StateLive && s.State != wire.StateExhausted {
			return wire.First{}, ErrState(s)
		}
		mark := &wire.Mark{Generation: s.Generation, Device: m.Device, Sequence: m.Sequence, Head: m.Head}
		mark.Signature = ed25519.Sign(owner, mark.Statement(fleet.ID, v.Account))
		return wire.First{Mark: mark}, nil
	})
}

// asOwner sends what the owner's key signs, made anew from the status at each
// try: it can be repeated without harm, since it changes the same thing to
// the same. It gives the status afterwards.
func (v *Vault) asOwner(ctx context.Context, fleet *bundle.Fleet, k Key, make func(ed25519.PrivateKey, wire.StatusReport) (wire.First, error)) (wire.StatusReport, error) {
	owner, err := ownerKey(k, fleet.ID, v.Account)
	if err != nil {
		return wire.StatusReport{}, err
	}
	for try := 1; ; try++ {
		status, err := v.status(ctx, fleet)
		if err != nil {
			return status, err
		}
		first, err := make(owner, status)
		if err != nil {
			return status, err
		}
		answer, _, err := v.ask(ctx, fleet, first)
		if err == nil && answer.Status != nil {
			return *answer.Status, nil
		}
		if err == nil {
			return status, ErrAnswer
		}
		if !transient(err) && !errors.Is(err, ErrRaced) && !isHearsay(err) {
			return status, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return status, unreachable(err)
		}
	}
}
