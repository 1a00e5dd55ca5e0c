package client

import (
	"context"
	"crypto/ed25519"
	"errors"

	"strongroom/protocol/wire"
)

// Mark is a freshness mark: the newest head that a device wrote.
type Mark = wire.MarkReport

// Mark leaves a freshness mark; whoever holds k may. The same one again does
// nothing. Errors beside the vault's: ErrStale, ErrMarks, ErrState's.
func (v *Vault) Mark(ctx context.Context, k Key, m Mark) (wire.StatusReport, error) {
	return v.asOwner(ctx, k, func(owner ed25519.PrivateKey, fleet wire.FleetID, s wire.StatusReport) (wire.First, error) {
		if !live(s.State) {
			return wire.First{}, ErrState(s)
		}
		mark := &wire.Mark{Generation: s.Generation, Device: m.Device, Sequence: m.Sequence, Head: m.Head}
		mark.Signature = ed25519.Sign(owner, mark.Statement(fleet, v.Account))
		return wire.First{Mark: mark}, nil
	})
}

// asOwner sends what the owner's key signs, made anew from the status at each
// try: it can be repeated without harm, since it changes the same thing to
// the same. It gives the status afterwards.
func (v *Vault) asOwner(ctx context.Context, k Key, make func(ed25519.PrivateKey, wire.FleetID, wire.StatusReport) (wire.First, error)) (wire.StatusReport, error) {
	for try := 1; ; try++ {
		w, err := v.find(ctx)
		if err != nil {
			return wire.StatusReport{}, err
		}
		status := w.status
		owner, err := ownerKey(k, w.at.ID, v.Account)
		if err != nil {
			return status, err
		}
		first, err := make(owner, w.at.ID, status)
		if err != nil {
			return status, err
		}
		answer, _, err := v.ask(ctx, w.at, first)
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
