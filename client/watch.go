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
	fleet, err := v.Fleet(ctx)
	if err != nil {
		return wire.StatusReport{}, err
	}
	answer, err := v.askFree(ctx, fleet, wire.First{Watch: &wire.Watch{After: after}})
	if err != nil {
		return wire.StatusReport{}, err
	}
	if answer.Status == nil {
		return wire.StatusReport{}, ErrAnswer
	}
	return *answer.Status, nil
}
