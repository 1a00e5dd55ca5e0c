package pack

import (
	"context"
	"errors"
	"time"
)

// forgetTries bounds how often a head that was taken is tried anew.
const forgetTries = 8

// Forget lets every device's next head name the snapshots no more that are in
// drop, and gives the heads that it wrote. Their index objects stay: what
// nothing needs any more a prune removes. The caller's claim stands.
func (r *Repo) Forget(ctx context.Context, drop map[SnapshotRef]bool, now time.Time) (written []*HeadAt, err error) {
	for range forgetTries {
		heads, _, err := r.Heads(ctx)
		if err != nil {
			return written, err
		}
		again := false
		for _, h := range heads {
			at, err := r.forgetOf(ctx, h, drop, now)
			switch {
			case errors.Is(err, ErrHeadTaken): // its device was at work: look at its new head
				again = true
			case err != nil:
				return written, err
			case at != nil:
				written = append(written, at)
			}
		}
		if !again {
			return written, nil
		}
	}
	return written, ErrHeadTaken
}

// forgetOf writes a device's next head, if it names one of drop.
func (r *Repo) forgetOf(ctx context.Context, h *HeadAt, drop map[SnapshotRef]bool, now time.Time) (*HeadAt, error) {
	next := Head{Device: h.Device, Sequence: h.Sequence + 1, Parent: h.Hash, TimeNanos: now.UnixNano(), Indexes: h.Indexes}
	for _, ref := range h.Snapshots {
		if !drop[ref] {
			next.Snapshots = append(next.Snapshots, ref)
		}
	}
	if len(next.Snapshots) == len(h.Snapshots) {
		return nil, nil
	}
	at, err := r.PutHead(ctx, next)
	if err != nil {
		return nil, err
	}
	return at, r.DropOldHeads(ctx, at)
}
