package client

import (
	"context"
	"crypto/ed25519"
	"errors"

	"strongroom/protocol/wire"
)

// Delete deletes the account's record at once; whoever holds k may. What of
// theirs waits at its new island goes first. Where there is none it does nothing.
func (v *Vault) Delete(ctx context.Context, k Key) (wire.StatusReport, error) {
	var status wire.StatusReport
	for try := 1; ; try++ {
		w, err := v.find(ctx)
		if err != nil {
			return status, err
		}
		status = w.status
		if w.at != w.home && w.atHome.State == wire.StateArriving {
			err = w.delete(ctx, w.home, w.atHome.Generation, k)
			if errors.Is(err, ErrOwner) {
				err = nil // a stranger's, which opens nothing of ours
			}
		}
		if err == nil && !live(status.State) && status.State != wire.StateArriving {
			return status, nil
		}
		if err == nil {
			err = w.delete(ctx, w.at, status.Generation, k)
		}
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

func (w *whereabouts) delete(ctx context.Context, at *island, g wire.Generation, k Key) error {
	v := w.vault
	owner, err := ownerKey(k, at.ID, v.Account)
	if err != nil {
		return err
	}
	signature := ed25519.Sign(owner, wire.DeleteStatement(at.ID, v.Account, g))
	_, _, err = v.ask(ctx, at, wire.First{Delete: &wire.Delete{Generation: g, Signature: signature}})
	return err
}
