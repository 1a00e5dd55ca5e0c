package pack

import (
	"context"
	"errors"
	"fmt"

	"strongroom/backup/seal"
	"strongroom/store"
)

// tailBytes is how much of a pack's end is read for its table at first.
const tailBytes = 64 << 10

// AdoptOrphans reads the tables of packs that no index names (an interrupted
// backup's, or those of a lost index), so that none is sent twice; the next
// Finish names them in its index. It gives how many were adopted, and the
// packs whose frame, trailer or table does not open. What is condemned is
// left alone.
func (r *Repo) AdoptOrphans(ctx context.Context) (adopted int, damage []*Damage, err error) {
	return r.adopt(ctx, false)
}

// adopt is AdoptOrphans. To rebuild a lost index it reads condemned packs too:
// a snapshot that began before they were condemned may need them.
func (r *Repo) adopt(ctx context.Context, rebuild bool) (adopted int, damage []*Damage, err error) {
	type orphan struct {
		name Name
		size int64
	}
	var orphans []orphan
	r.mu.RLock()
	for n, size := range r.index.orphans {
		if rebuild || !r.index.doom[n] {
			orphans = append(orphans, orphan{n, size})
		}
	}
	r.mu.RUnlock()
	err = spread(ctx, orphans, func(ctx context.Context, o orphan) error {
		t, err := r.readTable(ctx, o.name, o.size)
		r.works()
		r.mu.Lock()
		defer r.mu.Unlock()
		if d := (*Damage)(nil); errors.As(err, &d) {
			damage = append(damage, d)
			return nil
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil // deleted since the listing
		}
		if err == nil && r.index.packs[o.name] == nil {
			if p := r.index.add(t); !p.doomed {
				r.index.adopted = append(r.index.adopted, p)
				adopted++
			}
		}
		return err
	})
	return adopted, damage, err
}

// readTable reads a pack's own table: frame, then the end.
func (r *Repo) readTable(ctx context.Context, n Name, size int64) (packTable, error) {
	name := n.under(prefixPack)
	frame, err := r.st.Get(ctx, name, 0, seal.FrameBytes)
	if err != nil {
		return packTable{}, err
	}
	p, err := r.keys.OpenPack(name, frame)
	if err != nil {
		return packTable{}, damaged(name, "frame: ", err)
	}
	start := max(0, size-tailBytes)
	for range 2 {
		b, err := r.st.Get(ctx, name, start, size-start)
		if err != nil {
			return packTable{}, err
		}
		if int64(len(b)) != size-start {
			return packTable{}, &Damage{Object: name, What: "cut"}
		}
		segments, t, err := openTail(p, b, start, size)
		if err != nil {
			return packTable{}, damaged(name, "", err)
		}
		if int64(t.table) >= start {
			return packTable{Name: n, Size: size, Salt: p.Salt(), Segments: segments}, nil
		}
		start = int64(t.table)
	}
	return packTable{}, &Damage{Object: name, What: fmt.Sprintf("%v: table", ErrMalformed)}
}
