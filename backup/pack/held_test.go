package pack

import (
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// ids gives every segment once.
func (x *index) ids() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for n := uint32(1); n <= x.segments.count; n++ {
			if p := x.segments.at(n); x.first(p.id) == n && !yield(p.id) {
				return
			}
		}
	}
}

// The index says of every segment what a map would, copies and condemned
// packs included, and of a pack the table that it was given.
func TestIndexIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	x, want := newIndex(), map[ID][]place{}
	x.doom = map[Name]bool{}
	var tables []packTable
	for n := range 300 {
		name := Name{0: byte(n), 1: byte(n >> 8)}
		x.doom[name] = random.IntN(4) == 0
		tab := packTable{Name: name, Size: int64(n), Segments: []segment{}}
		for range random.IntN(60) {
			var id ID
			binary.LittleEndian.PutUint32(id[random.IntN(28):], random.Uint32N(4000)) // many share all but a few bytes
			tab.Segments = append(tab.Segments, segment{ID: id, Kind: Kind(1 + random.IntN(255)), Raw: random.Uint32N(SegmentBytesMax + 1), Sealed: 17 + random.Uint32N(1000)})
		}
		p := x.add(tab)
		tables = append(tables, tab)
		at := uint32(72)
		for _, s := range tab.Segments {
			want[s.ID] = append(want[s.ID], place{pack: p, offset: at, sealed: s.Sealed, raw: s.Raw, kind: s.Kind})
			at += s.Sealed
		}
	}
	seen := 0
	for id := range x.ids() {
		seen++
		got, all := x.copies(id), want[id]
		first, ok := x.place(id)
		stays := slices.ContainsFunc(all, func(p place) bool { return !p.pack.doomed })
		if !ok || len(got) != len(all) || first.pack.doomed == stays || !slices.Contains(all, first) {
			t.Fatalf("%x: %v, %v of %v", id, first, got, all)
		}
		for _, p := range got {
			if !slices.Contains(all, p) {
				t.Fatalf("%x: %v is none of %v", id, p, all)
			}
		}
	}
	if seen != len(want) || seen < 3000 {
		t.Fatalf("%d segments of %d", seen, len(want))
	}
	if _, ok := x.place(ID{31: 9}); ok || x.copies(ID{31: 9}) != nil {
		t.Fatal("an unknown segment has a place")
	}
	for _, tab := range tables {
		if got := x.packs[tab.Name].table(); !slices.Equal(got.Segments, tab.Segments) || got.Size != tab.Size {
			t.Fatalf("%x: %v", tab.Name, got)
		}
	}
}

// What the index holds of a segment, in all. A million of them are 64 MB.
func TestIndexBytesOfASegment(t *testing.T) {
	const most, n = 64, 1 << 20
	x := newSegments()
	for i := range uint32(n) {
		var id ID
		binary.BigEndian.PutUint32(id[:], i)
		x.add(0, 0, &segment{ID: id, Kind: KindFile, Sealed: 99})
	}
	if bytes := uintptr(len(x.blocks))*blockSegments*unsafe.Sizeof(placed{}) + uintptr(cap(x.slots))*4; bytes > most*n {
		t.Errorf("%d bytes for each of %d", bytes/n, n)
	}
}
