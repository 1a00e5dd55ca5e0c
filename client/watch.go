package client

import (
	"context"

	"strongroom/protocol/wire"
)

// Watch waits until the vault tells another newest event of the account than
// number after, or until the vault has waited long enough: then nothing is
// new. Free of charge. Errors are those of Status.
func (v *Vault) Watch(ctx context.Context, after uint64) (wire.StatusReport, error) {
	if err := v.checkAccount(); err != nil {
		return wire.StatusReport{}, err
	}
	at, err := v.watched(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	answer, err := v.askFree(ctx, at, wire.First{Watch: &wire.Watch{After: after}})
	if err != nil {
		return wire.StatusReport{}, err
	}
	if answer.Status == nil {
		return wire.StatusReport{}, ErrAnswer
	}
	return *answer.Status, nil
}

// watched is where the account is: of a fleet of one island that need not be
// asked.
func (v *Vault) watched(ctx context.Context) (*island, error) {
	w, err := v.homes(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(w.older) == 0:
		return w.home, nil
	}
	err = w.find(ctx)
	return w.at, err
}
