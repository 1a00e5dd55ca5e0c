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
	for try := 1; ; try++ {
		w, err := v.find(ctx)
		if err != nil {
			return status, err
		}
		status = w.status
		if status.State != wire.StateLive && status.State != wire.StateExhausted {
			return status, nil
		}
		owner, err := ownerKey(k, w.at.ID, v.Account)
		if err != nil {
			return status, err
		}
		g := status.Generation
		signature := ed25519.Sign(owner, wire.DeleteStatement(w.at.ID, v.Account, g))
		_, _, err = v.ask(ctx, w.at, wire.First{Delete: &wire.Delete{Generation: g, Signature: signature}})
		if err == nil {
			return v.status(ctx, w.at)
		}
		if !transient(err) && !errors.Is(err, ErrRaced) && !isHearsay(err) { // the next status is the judge
			return status, err
		}
		if try == triesMax || v.pause(ctx, try) != nil {
			return status, err
		}
	}
}
