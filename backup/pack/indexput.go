package pack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
)

// indexPart is how many of the tables go into the next index object.
func indexPart(tables []packTable) int {
	segments := 0
	for i, t := range tables {
		segments += len(t.Segments)
		if i > 0 && segments > indexSegmentsMax {
			return i
		}
	}
	return len(tables)
}

// namedIndex is an index object and the packs that it names.
type namedIndex struct {
	ref   IndexRef
	packs []Name
}

// putIndexes writes index objects for the tables and gives their sizes
// together.
func (r *Repo) putIndexes(ctx context.Context, tables []packTable) (out []namedIndex, sent int64, err error) {
	for len(tables) > 0 {
		n := indexPart(tables)
		name := newName()
		b, err := r.putObject(ctx, name.under(prefixIndex), encode(indexObject{Version: indexVersion, Packs: tables[:n]}))
		if err != nil {
			return nil, sent, err
		}
		out = append(out, namedIndex{IndexRef{Name: name, Hash: sha256.Sum256(b)}, names(tables[:n])})
		tables, sent = tables[n:], sent+int64(len(b))
	}
	return out, sent, nil
}

// Index objects with few segments are joined once there are many: a year of
// daily backups must not need 365 reads to open.
const (
	smallIndexSegments = indexSegmentsMax / 2 // fewer than these make an index object small
	smallIndexesMax    = 16
)

// manySmall gives the tables of the packs in small index objects, none while
// those are few.
func (r *Repo) manySmall() (out []packTable) {
	r.mu.RLock()
	if len(r.index.refs) < smallIndexesMax {
		r.mu.RUnlock()
		return nil
	}
	segments := map[Name]int{}
	count := func(p place) { segments[p.pack.name]++ }
	for id, p := range r.index.at {
		count(p)
		for _, more := range r.index.more[id] {
			count(more)
		}
	}
	small, wanted := 0, map[Name]bool{}
	for _, ref := range r.index.refs {
		sum := 0
		for _, n := range r.index.named[ref.Name] {
			sum += segments[n]
		}
		if sum >= smallIndexSegments {
			continue
		}
		small++
		for _, n := range r.index.named[ref.Name] {
			wanted[n] = true
		}
	}
	r.mu.RUnlock()
	if small < smallIndexesMax {
		return nil
	}
	for p, segments := range r.tables() {
		if wanted[p.name] {
			out = append(out, packTable{Name: p.name, Size: p.size, Salt: p.salt, Segments: segments})
		}
	}
	return out
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
