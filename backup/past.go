package backup

import (
	"context"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// pastImage finds a database in the newest snapshot of this or another
// device, for when the local state does not know it: lost, or a new machine.
// nil if there is none, or it can not be read: then all pages are new.
func (b *run) pastImage(ctx context.Context, it *item) *chunk.Image {
	if b.past == nil {
		b.past = map[string]*pack.Database{}
		b.readPast(ctx)
	}
	full := pastKey(b.roots[it.root], it.Rel)
	base := pastKey(rootNames(b.roots)[it.root], it.Rel)
	for _, key := range []string{full, base} {
		if d := b.past[key]; d != nil {
			if m, err := b.r.image(ctx, d); err == nil {
				return m
			}
		}
	}
	return nil
}

func pastKey(root, rel string) string { return root + "\x00" + rel }

// readPast reads the newest snapshot of each device, this device's last, so
// that it counts most.
func (b *run) readPast(ctx context.Context) {
	for _, h := range b.heads {
		if h != b.own {
			b.readPastOf(ctx, h)
		}
	}
	if b.own != nil {
		b.readPastOf(ctx, b.own)
	}
}

func (b *run) readPastOf(ctx context.Context, h *pack.HeadAt) {
	for i := len(h.Snapshots) - 1; i >= 0; i-- {
		m, err := b.r.pack.Manifest(ctx, h.Snapshots[i])
		if err != nil {
			continue // a damaged manifest costs only itself
		}
		names := rootNames(m.Roots)
		b.r.pack.Entries(ctx, m, func(e *pack.Entry) error { // what can be read of it is of use
			if e.Database != nil && int(e.Root) < len(m.Roots) {
				b.past[pastKey(m.Roots[e.Root], e.Path)] = e.Database
				b.past[pastKey(names[e.Root], e.Path)] = e.Database
			}
			return nil
		})
		return
	}
}

// image reads a database's image from the repository.
func (r *Repository) image(ctx context.Context, d *pack.Database) (*chunk.Image, error) {
	m := chunk.NewImage(d.PageBytes, d.Pages)
	for i := range d.Layers {
		l := &d.Layers[i]
		runs, err := r.pack.Runs(ctx, l)
		if err != nil {
			return nil, err
		}
		groups, err := r.pack.IDs(ctx, l.Groups)
		if err != nil {
			return nil, err
		}
		ids, err := r.pack.IDs(ctx, l.Hashes)
		if err != nil {
			return nil, err
		}
		hashes, err := r.pack.ReadJoined(ctx, pack.KindPageHash, ids)
		if err != nil {
			return nil, err
		}
		if err := m.AddStored(runs, groups, hashes, r.pack.Size); err != nil {
			return nil, err
		}
	}
	return m, nil
}
