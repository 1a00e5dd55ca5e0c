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
	status, err := v.asOwner(ctx, k, func(owner ed25519.PrivateKey, fleet wire.FleetID, s wire.StatusReport) (wire.First, error) {
		if s.Pending == nil {
			return wire.First{}, errNothing
		}
		c := &wire.Cancel{Generation: s.Generation, AtMillis: s.Pending.AtMillis}
		c.Signature = ed25519.Sign(owner, c.Statement(fleet, v.Account))
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
	if err := v.checkAccount(); err != nil {
		return wire.StatusReport{}, err
	}
	w, err := v.find(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	status := w.status
	if !live(status.State) {
		return status, nil
	}
	answer, err := v.askFree(ctx, w.at, wire.First{Delete: &wire.Delete{Generation: status.Generation, Later: true}})
	if err != nil {
		return status, err
	}
	if answer.Status == nil {
		return status, ErrAnswer
	}
	return *answer.Status, nil
}
