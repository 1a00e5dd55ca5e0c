package backup

import (
	"context"
	"crypto/rand"
	"errors"

	"strongroom/backup/pack"
)

// finish ends the list, writes the index, the manifest and, last, the head.
func (b *run) finish(ctx context.Context) error {
	b.meter.phase(PhaseFinish)
	m := &pack.Manifest{TimeNanos: b.opt.Now().UnixNano(), Host: b.opt.Host, Device: b.device, Roots: b.roots}
	rand.Read(m.Snapshot[:])
	err := b.list.Finish(m)
	if err != nil {
		return err
	}
	result, err := b.w.Finish()
	if err != nil {
		return err
	}
	before := b.r.pack.BytesSent()
	ref, err := b.r.pack.PutManifest(ctx, m)
	if err != nil {
		return err
	}
	head, err := b.putHead(ctx, ref, result.Indexes)
	if err != nil {
		return err
	}
	if err := b.stillClaimed(ctx, ref); err != nil {
		return err
	}
	b.report.Snapshot, b.report.Head = info(m), headOf(head)
	b.report.BytesSent, b.report.PacksSent = result.BytesSent+b.r.pack.BytesSent()-before, result.Packs
	if err := b.r.pack.DropOldHeads(ctx, head); err != nil {
		b.warn(b.r.st.Location(), "old heads were not deleted: "+err.Error())
	}
	for _, l := range b.lasts {
		l.keep()
	}
	if err := b.keep.keep(); err != nil {
		b.warn(b.state.folder, "the local state was not kept, the next backup reads everything: "+err.Error())
	}
	return nil
}

// headTries bounds how often a head that was taken is tried anew.
const headTries = 8

// putHead appends to this device's chain. Its place is taken if another
// backup under the same identity came first (a copied data folder): then this
// one goes after it. If what took it can not be read, the chain is broken
// there and this device goes on under a new identity.
func (b *run) putHead(ctx context.Context, ref pack.SnapshotRef, indexes []pack.IndexRef) (*pack.HeadAt, error) {
	for range headTries {
		if err := b.claim.stands(ctx); err != nil {
			return nil, err
		}
		h := pack.Head{Device: b.device, Sequence: 1, TimeNanos: b.opt.Now().UnixNano(), Indexes: union(indexes, b.taken)}
		if b.own != nil {
			h.Sequence, h.Parent = b.own.Sequence+1, b.own.Hash
			h.Snapshots = append(h.Snapshots, b.own.Snapshots...)
		}
		h.Snapshots = append(h.Snapshots, ref)
		at, err := b.r.pack.PutHead(ctx, h)
		b.sure = sureEnd(err)
		if !errors.Is(err, pack.ErrHeadTaken) {
			return at, err
		}
		if err := b.nextPlace(ctx); err != nil {
			return nil, err
		}
	}
	return nil, pack.ErrHeadTaken
}

// stillClaimed proves that the claim stood until the head was there: a prune
// that deletes has then seen the one or the other.
//
// Attack: none, a long sleep. The machine sleeps for a week just between its
// look at its claim and its head, a prune takes the claim for abandoned, and
// another deletes what the new snapshot needs. Such a snapshot is no success,
// and must not stay: no prune could tell what it needs.
func (b *run) stillClaimed(ctx context.Context, ref pack.SnapshotRef) error {
	err := b.claim.stands(ctx)
	if errors.Is(err, pack.ErrClaim) {
		_, undone := b.r.pack.Forget(ctx, map[pack.SnapshotRef]bool{ref: true}, b.opt.Now())
		err = errors.Join(err, undone)
	}
	return err
}

// nextPlace looks again at where this device's chain ends.
func (b *run) nextPlace(ctx context.Context) (err error) {
	heads, _, err := b.r.pack.Heads(ctx)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if h.Device == b.device && (b.own == nil || h.Sequence > b.own.Sequence) {
			b.own, b.taken = h, union(b.taken, h.Indexes)
			return nil
		}
	}
	b.own = nil
	b.device, err = newDevice(b.opt.StateDir)
	return err
}

func union(a, b []pack.IndexRef) (out []pack.IndexRef) {
	known := map[pack.IndexRef]bool{}
	for _, ref := range append(append(out, a...), b...) {
		if !known[ref] {
			known[ref] = true
			out = append(out, ref)
		}
	}
	return out
}
