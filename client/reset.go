package client

import (
	"context"
	"crypto/ed25519"
	"errors"

	"strongroom/protocol/wire"
)

// errNothing: there is nothing to do.
var errNothing = errors.New("client: nothing to do")

// Cancel stops a reset or deletion that waits; whoever holds k may. Where
// nothing waits it does nothing.
func (v *Vault) Cancel(ctx context.Context, k Key) (wire.StatusReport, error) {
	fleet, err := v.Fleet(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	status, err := v.asOwner(ctx, fleet, k, func(owner ed25519.PrivateKey, s wire.StatusReport) (wire.First, error) {
		if s.Pending == nil {
			return wire.First{}, errNothing
		}
		c := &wire.Cancel{Generation: s.Generation, AtMillis: s.Pending.AtMillis}
		c.Signature = ed25519.Sign(owner, c.Statement(fleet.ID, v.Account))
		return wire.First{Cancel: c}, nil
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return status, err
}

// DeleteLater asks, without password or key, for the record's deletion: it
// waits as a Reset does. Where there is none it does nothing.
func (v *Vault) DeleteLater(ctx context.Context) (wire.StatusReport, error) {
	status, err := v.Status(ctx)
	if err != nil || status.State != wire.StateLive && status.State != wire.StateExhausted {
		return status, err
	}
	fleet, err := v.Fleet(ctx)
	if err != nil {
		return status, err
	}
	answer, err := v.askFree(ctx, fleet, wire.First{Delete: &wire.Delete{Generation: status.Generation, Later: true}})
	if err != nil {
		return status, err
	}
	if answer.Status == nil {
		return status, ErrAnswer
	}
	return *answer.Status, nil
}
