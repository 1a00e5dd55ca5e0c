package backup

import (
	"cmp"
	"context"
	"slices"
	"sync"

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

// readPast reads the newest snapshot of each device, the newest of them later
// and this device's last, so that it counts most.
func (b *run) readPast(ctx context.Context) {
	heads := slices.SortedFunc(slices.Values(b.heads), func(x, y *pack.HeadAt) int { return cmp.Compare(x.TimeNanos, y.TimeNanos) })
	for _, h := range heads {
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

// image reads a database's image from the repository, in two batches.
func (r *Repository) image(ctx context.Context, d *pack.Database) (*chunk.Image, error) {
	var lists []pack.ID
	for _, l := range d.Layers {
		for _, refs := range []pack.Refs{l.Runs, l.Groups, l.Hashes} {
			lists = append(lists, refs.Lists...)
		}
	}
	texts, err := r.texts(ctx, lists)
	if err != nil {
		return nil, err
	}
	var wanted []pack.ID
	for _, l := range d.Layers {
		wanted = append(append(wanted, idsOf(l.Runs, texts)...), idsOf(l.Hashes, texts)...)
	}
	parts, err := r.texts(ctx, wanted)
	if err != nil {
		return nil, err
	}
	m := chunk.NewImage(d.PageBytes, d.Pages)
	for _, l := range d.Layers {
		out := chunk.Layer{Coding: l.Coding, Groups: idsOf(l.Groups, texts), Hashes: [][]byte{join(idsOf(l.Hashes, texts), parts)}}
		if out.Runs, err = parseRuns(l, join(idsOf(l.Runs, texts), parts)); err != nil {
			return nil, err
		}
		if err := m.AddStored(out, r.pack.Size); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func parseRuns(l pack.Layer, text []byte) ([][]pack.Run, error) {
	if l.Coding == pack.CodingDifference {
		return pack.ParseGroupRuns(text, l.Pages)
	}
	runs, err := pack.ParseRuns(text, l.Pages)
	return [][]pack.Run{runs}, err
}

// texts reads segments whole into memory.
func (r *Repository) texts(ctx context.Context, ids []pack.ID) (map[pack.ID][]byte, error) {
	out := map[pack.ID][]byte{}
	var mu sync.Mutex
	err := r.pack.ReadAll(ctx, ids, func(id pack.ID, plain []byte) error {
		mu.Lock()
		defer mu.Unlock()
		out[id] = append([]byte(nil), plain...)
		return nil
	})
	return out, err
}

func idsOf(refs pack.Refs, texts map[pack.ID][]byte) []pack.ID {
	if len(refs.Lists) == 0 {
		return refs.Direct
	}
	return splitIDs(join(refs.Lists, texts))
}

func join(ids []pack.ID, texts map[pack.ID][]byte) (out []byte) {
	for _, id := range ids {
		out = append(out, texts[id]...)
	}
	return out
}
