package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/backup/seal"
	"strongroom/store"
)

const (
	indexVersion     = 1
	indexSegmentsMax = 1 << 16 // of one index object that a writer makes
)

// IndexRef names an index object and what its bytes hash to (SHA-256).
type IndexRef struct {
	_    struct{} `cbor:",toarray"`
	Name Name
	Hash [sha256.Size]byte
}

// packTable is what an index tells of one pack: enough to read any segment
// with one ranged read.
type packTable struct {
	_        struct{} `cbor:",toarray"`
	Name     Name
	Size     int64
	Salt     [seal.SaltBytes]byte
	Segments []segment
}

// indexObject is the body of an index object.
type indexObject struct {
	Version uint8       `cbor:"1,keyasint"`
	Packs   []packTable `cbor:"2,keyasint"`
}

// place is where a copy of a segment lies.
type place struct {
	pack   *packInfo
	offset uint32
	sealed uint32
	raw    uint32
	kind   Kind
}

// packInfo is one known pack. Its table is what its index placed for it.
type packInfo struct {
	name   Name
	size   int64
	salt   [seal.SaltBytes]byte
	doomed bool // condemned: good for reading, not held

	in           *index
	first, count uint32 // numbers of its segments
}

// index is what is known of packs.
type index struct {
	segments
	packs   map[Name]*packInfo // usable
	order   []*packInfo        // the same, by number
	refs    []IndexRef         // index objects that are whole
	named   map[Name][]Name    // packs that each of them names
	doom    map[Name]bool      // condemned packs, as far as the loader asked
	adopted []*packInfo        // usable packs that no index object names yet
	orphans map[Name]int64     // packs in the storage that nothing names: their sizes
}

func newIndex() *index {
	return &index{segments: newSegments(), packs: map[Name]*packInfo{}, named: map[Name][]Name{}, orphans: map[Name]int64{}}
}

// add makes the segments of a pack known, and gives what is known of it. A
// pack already known adds nothing.
func (x *index) add(t packTable) *packInfo {
	if p := x.packs[t.Name]; p != nil {
		return p
	}
	p := &packInfo{name: t.Name, size: t.Size, salt: t.Salt, doomed: x.doom[t.Name], in: x, first: x.segments.count + 1, count: uint32(len(t.Segments))}
	number := uint32(len(x.order))
	x.packs[t.Name], x.order = p, append(x.order, p)
	delete(x.orphans, t.Name)
	at := uint32(seal.FrameBytes)
	for i := range t.Segments {
		x.segments.add(number, at, &t.Segments[i])
		at += t.Segments[i].Sealed
	}
	return p
}

// place gives a segment's copy that is read first: one that stays, if any
// does.
func (x *index) place(id ID) (place, bool) {
	first := x.first(id)
	for n := first; n != 0; n = x.segments.at(n).next {
		if p := x.placeOf(n); !p.pack.doomed {
			return p, true
		}
	}
	if first == 0 {
		return place{}, false
	}
	return x.placeOf(first), true
}

// copies gives every copy of a segment.
func (x *index) copies(id ID) (out []place) {
	for n := x.first(id); n != 0; n = x.segments.at(n).next {
		out = append(out, x.placeOf(n))
	}
	return out
}

func (x *index) placeOf(number uint32) place {
	p := x.segments.at(number)
	s := p.segment()
	return place{pack: x.order[p.pack], offset: p.offset, sealed: s.Sealed, raw: s.Raw, kind: s.Kind}
}

// table gives a pack's table again.
func (p *packInfo) table() packTable {
	t := packTable{Name: p.name, Size: p.size, Salt: p.salt, Segments: make([]segment, p.count)}
	for i := range t.Segments {
		t.Segments[i] = p.in.segments.at(p.first + uint32(i)).segment()
	}
	return t
}

// parseIndex decodes an index object and proves that its segments fit their
// packs.
func parseIndex(b []byte) ([]packTable, error) {
	var x indexObject
	if err := decodeVersion(b, indexVersion, &x); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	for _, p := range x.Packs {
		end, err := endOf(p.Segments)
		if err != nil || end+int64(tableRoom(0)) > p.Size {
			return nil, fmt.Errorf("%w: index of pack %x", ErrMalformed, p.Name)
		}
	}
	return x.Packs, nil
}

// LoadIndex reads the heads, the index objects they name, and the list of
// packs. Where an index object or a head is lost or damaged, or no head is there,
// the packs that nothing else names are read by their own tables. Has, Read and Writer know
// what it found. The damage it names cost nothing but these reads, except
// for packs that are gone.
func (r *Repo) LoadIndex(ctx context.Context) ([]*HeadAt, []*Damage, error) {
	return r.loadIndex(ctx, nil)
}

func (r *Repo) loadIndex(ctx context.Context, doom map[Name]bool) ([]*HeadAt, []*Damage, error) {
	heads, x, damage, err := r.readAllIndex(ctx, doom)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	r.index = x
	r.mu.Unlock()
	if len(damage) != 0 || len(heads) == 0 {
		_, more, err := r.adopt(ctx, true)
		return heads, append(damage, more...), err
	}
	return heads, damage, nil
}

// loadTries bounds how often the index is read anew because a prune took
// away what the heads of a moment ago named.
const loadTries = 4

func (r *Repo) readAllIndex(ctx context.Context, doom map[Name]bool) (heads []*HeadAt, x *index, damage []*Damage, err error) {
	heads, found, err := r.Heads(ctx)
	for try := 0; err == nil; try++ {
		var more []*Damage
		if x, more, err = r.readIndex(ctx, heads, doom); err != nil {
			break
		}
		damage = append(found, more...)
		if len(more) == 0 || try == loadTries {
			break
		}
		before := heads
		if heads, found, err = r.Heads(ctx); err == nil && SameHeads(before, heads) {
			break // it is damage
		}
	}
	return heads, x, damage, err
}

// SameHeads tells whether two looks at the heads saw the same.
func SameHeads(a, b []*HeadAt) bool {
	return slices.EqualFunc(a, b, func(x, y *HeadAt) bool { return x.Hash == y.Hash })
}

// readIndex reads every index object that the heads name.
func (r *Repo) readIndex(ctx context.Context, heads []*HeadAt, doom map[Name]bool) (*index, []*Damage, error) {
	x := newIndex()
	x.doom = doom
	stored, err := r.listPacks(ctx)
	if err != nil {
		return nil, nil, err
	}
	for name, size := range stored {
		x.orphans[name] = size
	}
	var damage []*Damage
	seen := map[IndexRef]bool{}
	for _, h := range heads {
		for _, ref := range h.Indexes {
			if seen[ref] {
				continue
			}
			seen[ref] = true
			tables, err := r.readIndexObject(ctx, ref)
			if d := (*Damage)(nil); errors.As(err, &d) {
				damage = append(damage, d)
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			x.refs = append(x.refs, ref)
			x.named[ref.Name] = names(tables)
			damage = append(damage, x.addStored(tables, stored)...)
			r.works()
		}
	}
	return x, damage, nil
}

// addStored adds the packs that the storage holds in the size they had, and
// names the others.
func (x *index) addStored(tables []packTable, stored map[Name]int64) (damage []*Damage) {
	for _, t := range tables {
		size, there := stored[t.Name]
		switch {
		case !there:
			damage = append(damage, &Damage{Object: t.Name.under(prefixPack), What: "missing", Lost: ids(t.Segments)})
		case size != t.Size:
			delete(x.orphans, t.Name)
			damage = append(damage, &Damage{Object: t.Name.under(prefixPack), What: fmt.Sprintf("has %d bytes instead of %d", size, t.Size), Lost: ids(t.Segments)})
		default:
			x.add(t)
		}
	}
	return damage
}

func names(tables []packTable) []Name {
	out := make([]Name, len(tables))
	for i, t := range tables {
		out[i] = t.Name
	}
	return out
}

func ids(segments []segment) []ID {
	out := make([]ID, len(segments))
	for i, s := range segments {
		out[i] = s.ID
	}
	return out
}

// readIndexObject gives the tables of an index object, or a Damage.
func (r *Repo) readIndexObject(ctx context.Context, ref IndexRef) ([]packTable, error) {
	name := ref.Name.under(prefixIndex)
	body, hash, err := r.getObject(ctx, name)
	if err != nil {
		return nil, err
	}
	if hash != ref.Hash {
		return nil, &Damage{Object: name, What: "is not the object that the head names"}
	}
	tables, err := parseIndex(body)
	if err != nil {
		return nil, damaged(name, "", err)
	}
	return tables, nil
}

const tooLarge = "larger than any object"

// getObject gets and opens a sealed object: its body and the SHA-256 of its
// bytes. A missing or damaged one is a Damage.
func (r *Repo) getObject(ctx context.Context, name string) (body []byte, hash [32]byte, err error) {
	b, err := r.st.Get(ctx, name, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, hash, &Damage{Object: name, What: "missing", cause: store.ErrNotFound}
	}
	// Attack: a thief appends gigabytes to one object, and no storage gives
	// it out whole. That is damage of this object, which others make good, and
	// no storage out of reach, which stops everything.
	if errors.Is(err, store.ErrSize) {
		return nil, hash, &Damage{Object: name, What: tooLarge}
	}
	if err != nil {
		return nil, hash, err
	}
	hash = sha256.Sum256(b)
	body, err = r.keys.OpenObject(name, b)
	if err != nil {
		return nil, hash, damaged(name, "", err)
	}
	return body, hash, nil
}

// listPacks gives every pack in the storage with its size.
func (r *Repo) listPacks(ctx context.Context) (map[Name]int64, error) {
	out := map[Name]int64{}
	for info, err := range r.st.List(ctx, prefixPack) {
		if err != nil {
			return nil, err
		}
		if n, ok := parseName(info.Name, prefixPack, ""); ok {
			out[n] = info.Size
		}
		r.works()
	}
	return out, nil
}
