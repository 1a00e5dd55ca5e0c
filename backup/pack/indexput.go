package pack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
)

// indexPart is how many of the packs go into the next index object.
func indexPart(packs []*packInfo) int {
	segments := 0
	for i, p := range packs {
		segments += int(p.count)
		if i > 0 && segments > indexSegmentsMax {
			return i
		}
	}
	return len(packs)
}

// namedIndex is an index object and the packs that it names.
type namedIndex struct {
	ref   IndexRef
	packs []Name
}

// putIndexes writes index objects for the packs and gives their sizes
// together. The tables of one object are in memory at once.
func (r *Repo) putIndexes(ctx context.Context, packs []*packInfo) (out []namedIndex, sent int64, err error) {
	for len(packs) > 0 {
		n := indexPart(packs)
		x := indexObject{Version: indexVersion}
		for _, p := range packs[:n] {
			x.Packs = append(x.Packs, r.table(p))
		}
		name := newName()
		b, err := r.putObject(ctx, name.under(prefixIndex), encode(x))
		if err != nil {
			return nil, sent, err
		}
		out = append(out, namedIndex{IndexRef{Name: name, Hash: sha256.Sum256(b)}, names(x.Packs)})
		packs, sent = packs[n:], sent+int64(len(b))
		r.works()
	}
	return out, sent, nil
}

// Index objects with few segments are joined once there are many: a year of
// daily backups must not need 365 reads to open.
const (
	smallIndexSegments = indexSegmentsMax / 2 // fewer than these make an index object small
	smallIndexesMax    = 16
)

// manySmall gives the packs in small index objects, none while those are few.
func (r *Repo) manySmall() (out []*packInfo) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	small, wanted := 0, map[Name]bool{}
	for _, ref := range r.index.refs {
		segments := 0
		for _, n := range r.index.named[ref.Name] {
			if p := r.index.packs[n]; p != nil {
				segments += int(p.count)
			}
		}
		if segments >= smallIndexSegments {
			continue
		}
		small++
		for _, n := range r.index.named[ref.Name] {
			wanted[n] = true
		}
	}
	if small < smallIndexesMax {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.index.order), func(p *packInfo) bool { return !wanted[p.name] })
}

// know adds index objects to those that are there.
func (x *index) know(all []namedIndex) {
	for _, n := range all {
		x.refs = append(x.refs, n.ref)
		x.named[n.ref.Name] = n.packs
	}
}

// essential gives index objects that name every known pack between them: none
// of which all packs are in the others.
func (x *index) essential() (out []IndexRef) {
	refs := slices.Clone(x.refs)
	slices.SortStableFunc(refs, func(a, b IndexRef) int { return cmp.Compare(len(x.named[b.Name]), len(x.named[a.Name])) })
	covered := map[Name]bool{}
	for _, ref := range refs {
		adds := false
		for _, n := range x.named[ref.Name] {
			adds = adds || !covered[n]
			covered[n] = true
		}
		if adds {
			out = append(out, ref)
		}
	}
	return out
}

// putTop is putObject for what stands above the index: a manifest or a head.
func (r *Repo) putTop(ctx context.Context, name string, body []byte) ([]byte, error) {
	b, err := r.putObject(ctx, name, body)
	if err == nil {
		r.sent.Add(int64(len(b)))
	}
	return b, err
}

// BytesSent is how much this Repo has stored in manifests and heads, as
// stored. Packs and index objects are counted by their Writer.
func (r *Repo) BytesSent() int64 { return r.sent.Load() }

// putObject seals body as the object called name and stores it.
func (r *Repo) putObject(ctx context.Context, name string, body []byte) ([]byte, error) {
	b, err := r.keys.Object(name, body)
	if err != nil {
		return nil, err
	}
	return b, put(ctx, r.st, name, b)
}
