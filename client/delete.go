package client

import (
	"context"
	"crypto/ed25519"
	"errors"

	"strongroom/protocol/wire"
)

// Delete deletes the account's record at once; whoever holds k may. Where
// there is none it does nothing.
func (v *Vault) Delete(ctx context.Context, k Key) (wire.StatusReport, error) {
	var status wire.StatusReport
	fleet, err := v.Fleet(ctx)
	if err != nil {
		return status, err
	}
	owner, err := ownerKey(k, fleet.ID, v.Account)
	if err != nil {
		return status, err
	}
	for try := 1; ; try++ {
		if status, err = v.status(ctx, fleet); err != nil {
			return status, err
		}
		if status.State != wire.StateLive && status.State != wire.StateExhausted {
			return status, nil
		}
		g := status.Generation
		signature := ed25519.Sign(owner, wire.DeleteStatement(fleet.ID, v.Account, g))
		_, _, err = v.ask(ctx, fleet, wire.First{Delete: &wire.Delete{Generation: g, Signature: signature}})
		if err == nil {
			return v.status(ctx, fleet)
		}
		if !transient(err) && !errors.Is(err, ErrRaced) && !isHearsay(err) { // the next status is the judge
			return status, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return status, err
		}
	}
}
