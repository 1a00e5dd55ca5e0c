package pack

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"strongroom/backup/seal"
	"strongroom/store"
)

// CheckStructure reads everything but the packs' contents: both headers,
// every head, index and manifest, the list of packs with their sizes, and
// whether every segment that a live snapshot needs has a place. It names
// every object at fault. The index is loaded anew.
func (r *Repo) CheckStructure(ctx context.Context) ([]*Damage, error) {
	damage, err := r.checkHeaders(ctx)
	if err != nil {
		return nil, err
	}
	heads, more, err := r.LoadHeld(ctx)
	if err != nil {
		return nil, err
	}
	damage = append(damage, more...)
	if _, more, err = r.AdoptOrphans(ctx); err != nil {
		return nil, err
	}
	damage = append(damage, more...)
	if more, err = r.checkUnnamed(ctx, heads); err != nil {
		return nil, err
	}
	damage = append(damage, more...)
	known := map[ID]bool{}
	for _, d := range damage {
		for _, id := range d.Lost {
			known[id] = true
		}
	}
	more, err = r.checkSnapshots(ctx, liveSnapshots(heads), known)
	return mergeDamage(append(damage, more...)), err
}

// checkSnapshots checks live snapshots. Where all is well each list is read
// once, whatever many snapshots share it; else each is looked at by itself, to
// name what it lacks.
func (r *Repo) checkSnapshots(ctx context.Context, refs []SnapshotRef, known map[ID]bool) (damage []*Damage, err error) {
	var all []*Manifest
	for _, ref := range refs {
		m, more, err := r.manifestCopies(ctx, ref)
		if err != nil {
			return nil, err
		}
		damage, all = append(damage, more...), append(all, m)
	}
	if !slices.Contains(all, nil) {
		need, err := r.needsOf(ctx, all)
		if err == nil && len(r.missingOf(need)) == 0 {
			return damage, nil
		}
		if err != nil && !unreadable(err) {
			return nil, err
		}
	}
	for i, ref := range refs {
		if all[i] == nil {
			continue
		}
		more, err := r.checkSnapshot(ctx, ref, all[i], known)
		if err != nil {
			return nil, err
		}
		damage = append(damage, more...)
	}
	return damage, nil
}

// unreadable tells what is wrong with what was read from a storage that can
// not be reached.
func unreadable(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnknownSegment) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrUnknownKind) || errors.Is(err, ErrVersion)
}

func (r *Repo) checkHeaders(ctx context.Context) (damage []*Damage, err error) {
	for _, name := range []string{headerA, headerB} {
		b, err := r.st.Get(ctx, name, 0, seal.HeaderBytes+1)
		switch {
		case errors.Is(err, store.ErrNotFound):
			damage = append(damage, &Damage{Object: name, What: "missing"})
		case err != nil:
			return nil, err
		case string(b) != string(r.header.Bytes()):
			damage = append(damage, &Damage{Object: name, What: "damaged"})
		}
	}
	return damage, nil
}

func liveSnapshots(heads []*HeadAt) (out []SnapshotRef) {
	seen := map[SnapshotRef]bool{}
	for _, h := range heads {
		for _, s := range h.Snapshots {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return out
}

// checkUnnamed opens the index objects and manifests that no head names: a
// damaged head must not hide a damaged one.
func (r *Repo) checkUnnamed(ctx context.Context, heads []*HeadAt) (damage []*Damage, err error) {
	named := map[string]bool{}
	for _, h := range heads {
		for _, ref := range h.Indexes {
			named[ref.Name.under(prefixIndex)] = true
		}
		for _, ref := range h.Snapshots {
			named[ref.Manifest.under(prefixManifest)+copyA] = true
			named[ref.Manifest.under(prefixManifest)+copyB] = true
		}
	}
	for _, prefix := range []string{prefixIndex, prefixManifest, prefixClaim} {
		for info, err := range r.st.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			if named[info.Name] {
				continue
			}
			_, _, err := r.getObject(ctx, info.Name)
			if missingObject(err) {
				continue // its time had come
			}
			if d := (*Damage)(nil); errors.As(err, &d) {
				damage = append(damage, d)
			} else if err != nil {
				return nil, err
			}
		}
	}
	return damage, nil
}

// checkSnapshot checks that all that a snapshot needs is in the index, or known
// to be lost with an object already named.
func (r *Repo) checkSnapshot(ctx context.Context, ref SnapshotRef, m *Manifest, known map[ID]bool) (damage []*Damage, err error) {
	name := ref.Manifest.under(prefixManifest) + copyA
	var lost []ID
	need := func(id ID, kind Kind) {
		if p, ok := r.place(id); !known[id] && (!ok || p.kind != kind) {
			lost = append(lost, id)
		}
	}
	fault := r.References(ctx, m, need)
	if fault != nil && !unreadable(fault) {
		return nil, fault
	}
	for _, d := range damages(fault) {
		damage = append(damage, d)
	}
	if len(lost) > 0 {
		damage = append(damage, &Damage{Object: name, What: "needs segments that no pack has", Lost: lost})
	}
	if errors.Is(fault, ErrMalformed) {
		damage = append(damage, &Damage{Object: name, What: fault.Error()})
	}
	return damage, nil
}

// damages finds every Damage in joined errors.
func damages(err error) (out []*Damage) {
	if d, ok := err.(*Damage); ok {
		return []*Damage{d}
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range j.Unwrap() {
			out = append(out, damages(e)...)
		}
	}
	return out
}

// References gives every segment that a snapshot needs, with its kind; an id
// may come more than once. Lists that can not be read are joined in the error.
func (r *Repo) References(ctx context.Context, m *Manifest, need func(ID, Kind)) error {
	for _, id := range m.Lists {
		need(id, KindList)
	}
	var faults []error
	refs := func(refs Refs, kind Kind) {
		for _, id := range refs.Lists {
			need(id, KindRefs)
		}
		ids, err := r.IDs(ctx, refs)
		faults = append(faults, err)
		for _, id := range ids {
			need(id, kind)
		}
	}
	err := r.Entries(ctx, m, func(e *Entry) error {
		if e.Content != nil {
			refs(*e.Content, KindFile)
		}
		if e.Database != nil {
			for _, l := range e.Database.Layers {
				refs(l.Runs, KindRuns)
				refs(l.Groups, KindPages)
				refs(l.Hashes, KindPageHash)
			}
		}
		return ctx.Err()
	})
	return errors.Join(append(faults, err)...)
}

// CheckData is CheckStructure, and every pack read whole: each part opened,
// each id computed again, its own table compared with the index.
func (r *Repo) CheckData(ctx context.Context) ([]*Damage, error) {
	return r.CheckPart(ctx, 0, 0, func(int, int64, int64) {})
}

// CheckPart is CheckData of one part of the packs, 1 to parts; parts 0 is all.
// done tells how far it is.
func (r *Repo) CheckPart(ctx context.Context, part, parts int, done func(packs int, bytes, all int64)) ([]*Damage, error) {
	damage, err := r.CheckStructure(ctx)
	if err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(r.packs(), func(p *packInfo) bool {
		return parts > 0 && int(binary.BigEndian.Uint32(p.name[:])%uint32(parts)) != part-1
	})
	var all, read int64
	packs := 0
	for _, p := range chosen {
		all += p.size
	}
	work := make(chan *packInfo)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range checkWorkers {
		readers.Go(func() {
			for p := range work {
				more, err := r.checkStored(ctx, p, r.table(p).Segments)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				damage = append(damage, more...)
				packs, read = packs+1, read+p.size
				done(packs, read, all)
				mu.Unlock()
			}
		})
	}
	err = feed(ctx, work, chosen)
	readers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return mergeDamage(damage), err
}

// checkWorkers is how many packs CheckData holds in memory.
const checkWorkers = 3

func (r *Repo) checkStored(ctx context.Context, p *packInfo, segments []segment) ([]*Damage, error) {
	b, err := r.st.Get(ctx, p.name.under(prefixPack), 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return []*Damage{{Object: p.name.under(prefixPack), What: "missing", Lost: ids(segments)}}, nil
	}
	if errors.Is(err, store.ErrSize) {
		return []*Damage{{Object: p.name.under(prefixPack), What: tooLarge, Lost: ids(segments)}}, nil
	}
	if err != nil {
		return nil, err
	}
	return r.checkPack(p, segments, b), nil
}

// packs gives every known pack.
func (r *Repo) packs() []*packInfo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.index.order)
}

// table is packInfo.table beside writers.
func (r *Repo) table(p *packInfo) packTable {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return p.table()
}
