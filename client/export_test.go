package client

import (
	"context"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// StatusAt asks one island, whatever the account's home is.
func StatusAt(ctx context.Context, v *Vault, l *bundle.Layouts, pin bundle.Pin) (wire.StatusReport, error) {
	return v.status(ctx, v.islandOf(l, pin))
}

// SquatAt leaves a registration at the account's home, and does nothing more.
func SquatAt(ctx context.Context, v *Vault, password string, p Payload) error {
	w, err := v.homes(ctx)
	if err != nil {
		return err
	}
	secret, err := prepare(password)
	if err != nil {
		return err
	}
	_, err = (&enrolment{vault: v, at: w.home, payload: p, arrives: true}).run(ctx, secret)
	return err
}

// TakeOver registers at the account's home over what waits there, as a thief
// would who does not bring it on.
func TakeOver(ctx context.Context, v *Vault, password string, p Payload) (wire.StatusReport, error) {
	w, err := v.homes(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	secret, err := prepare(password)
	if err != nil {
		return wire.StatusReport{}, err
	}
	if err := w.look(ctx); err != nil {
		return w.status, err
	}
	return w.anew(ctx, secret, p)
}
