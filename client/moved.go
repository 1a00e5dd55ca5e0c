package client

import (
	"context"

	"strongroom/protocol/wire"
)

// Moved tells whether the record of a status is the one that a device knows by
// an older generation, taken from island to island by its owner since: each
// island says to which registration it sent the account, and whether the owner
// of what lived there signed that; anybody may when his delay is over. Free of
// charge.
func (v *Vault) Moved(ctx context.Context, known wire.Generation, now wire.StatusReport) (bool, error) {
	w, err := v.homes(ctx)
	if err != nil || !live(now.State) || ended(now.History) {
		return false, err
	}
	left := map[wire.Generation]wire.Generation{}
	for _, at := range w.older {
		status, err := v.status(ctx, at)
		if err != nil {
			return false, err
		}
		if status.State == wire.StateDeparted && status.Departed.Signed {
			left[status.Generation] = status.Departed.Generation
		}
	}
	for range w.older {
		if known = left[known]; known == now.Generation {
			return true, nil
		}
	}
	return false, nil
}

// ended: the last thing that was made or ended was ended. What arrived was then
// somebody's new registration.
func ended(history []wire.Event) bool {
	for i := len(history) - 1; i >= 0; i-- {
		switch history[i].Kind {
		case wire.EventDeleted, wire.EventDestroyed:
			return true
		case wire.EventRegistered, wire.EventReplaced, wire.EventReset:
			return false
		}
	}
	return false
}
