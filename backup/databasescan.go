package backup

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
	"strongroom/backup/seal"
)

// scanner turns changed pages into groups: index pages of which it has the
// last image into differences, all others whole.
type scanner struct {
	b       *run
	image   *chunk.Image
	spool   *chunk.Spool
	old     *lastPages // nil if there are none, or no more differences are taken
	last    *lastPagesWriter
	pages   []uint32
	hashes  []chunk.Hash
	data    []byte
	changed int

	order []uint32 // of each page, by its number - 1: its place among the children of index pages
	place uint32   // the last one given
	later []uint32 // changed index pages, for differences
	whole []uint32 // of those, the ones that are stored whole after all

	base, now []byte // of the group of differences that is made
}

// all scans every page, then reads again the pages that become differences or
// are to be stored once more so that a restore stays cheap: in the same
// transaction.
func (s *scanner) all(ctx context.Context, snap *scan.Snapshot) error {
	anew := !s.image.TakesDifferences()
	if anew {
		s.old = nil
	}
	if s.old != nil {
		s.order = make([]uint32, snap.Pages)
	}
	s.image.StartLayer()
	err := snap.Each(ctx, s.see)
	if err = errors.Join(err, s.flush()); err != nil {
		return err
	}
	if err := s.differences(ctx, snap); err != nil {
		return err
	}
	again := append(s.image.Stale(anew), s.whole...)
	slices.Sort(again)
	s.image.StartLayer()
	if err := snap.Some(ctx, slices.Compact(again), func(number uint32, page []byte) error {
		return s.page(number, s.b.r.pack.PageHash(page), page)
	}); err != nil {
		return err
	}
	return s.flush()
}

// see looks at one page.
func (s *scanner) see(number uint32, page []byte) error {
	s.b.report.BytesRead += int64(len(page))
	hash := s.b.r.pack.PageHash(page)
	known, ok := s.image.Hash(number)
	same := ok && known == hash
	index := number > 1 && isIndex(page)
	if index {
		s.last.add(number, page, same)
		s.noteChildren(page)
	}
	if same {
		return nil
	}
	s.changed++
	if ok && index && s.old.has(number) {
		s.later = append(s.later, number)
		return nil
	}
	return s.page(number, hash, page)
}

// Pages of SQLite's index trees (SQLite file format, section 1.6).
const (
	indexInterior   = 0x02
	indexLeaf       = 0x0a
	cellsAt         = 3  // in the page: how many cells it has, 2 bytes
	lastChildAt     = 8  // 4 bytes
	interiorCellsAt = 12 // where each cell is, 2 bytes; a cell begins with its child
)

func isIndex(page []byte) bool { return page[0] == indexInterior || page[0] == indexLeaf }

// noteChildren notes in what order an interior page has its children. What
// SQLite does not mean so is at worst a bad order.
func (s *scanner) noteChildren(page []byte) {
	if s.order == nil || page[0] != indexInterior {
		return
	}
	note := func(child uint32) {
		if s.place++; child > 0 && int(child) <= len(s.order) {
			s.order[child-1] = s.place
		}
	}
	cells := int(binary.BigEndian.Uint16(page[cellsAt:]))
	for at := interiorCellsAt; cells > 0 && at+2 <= len(page); at, cells = at+2, cells-1 {
		if cell := int(binary.BigEndian.Uint16(page[at:])); cell+4 <= len(page) {
			note(binary.BigEndian.Uint32(page[cell:]))
		}
	}
	note(binary.BigEndian.Uint32(page[lastChildAt:]))
}

// differences stores the changed index pages by what they were: neighbours
// together, since cells move between them when a page is split.
func (s *scanner) differences(ctx context.Context, snap *scan.Snapshot) error {
	slices.SortFunc(s.later, func(a, b uint32) int { return cmp.Or(cmp.Compare(s.order[a-1], s.order[b-1]), cmp.Compare(a, b)) })
	s.image.StartDifferences()
	most := min(chunk.DifferencePages, s.image.GroupPages())
	for part := range slices.Chunk(s.later, most) {
		slices.Sort(part)
		if err := s.difference(ctx, snap, part); err != nil {
			return err
		}
	}
	return nil
}

// difference makes one group. Pages of which the last image is not the one
// that the repository has, and those that have little left of it, are stored
// whole.
func (s *scanner) difference(ctx context.Context, snap *scan.Snapshot, numbers []uint32) error {
	base, data := s.base[:0], s.now[:0]
	var pages []uint32
	for _, number := range numbers {
		with, ok := s.old.page(base, number)
		if known, there := s.image.Hash(number); !ok || !there || s.b.r.pack.PageHash(with[len(base):]) != known {
			s.whole = append(s.whole, number)
			continue
		}
		base, pages = with, append(pages, number)
	}
	if len(pages) == 0 {
		return nil
	}
	var hashes []chunk.Hash
	if err := snap.Some(ctx, pages, func(_ uint32, page []byte) error {
		data, hashes = append(data, page...), append(hashes, s.b.r.pack.PageHash(page))
		return nil
	}); err != nil {
		return err
	}
	s.base, s.now = base, data
	d, err := seal.Difference(base, data)
	if err != nil || d == nil {
		s.whole = append(s.whole, pages...)
		return err
	}
	id := s.b.r.pack.SegmentID(pack.KindPages, d)
	if err := s.image.AddDifference(id, len(d), pages, hashes); err != nil {
		return err
	}
	return s.spool.Put(chunk.Block{ID: id, Data: d})
}

func (s *scanner) page(number uint32, hash chunk.Hash, page []byte) error {
	s.pages = append(s.pages, number)
	s.hashes = append(s.hashes, hash)
	s.data = append(s.data, page...)
	if len(s.pages) < s.image.GroupPages() {
		return nil
	}
	return s.flush()
}

// flush ends a group.
func (s *scanner) flush() error {
	if len(s.pages) == 0 {
		return nil
	}
	id := s.b.r.pack.SegmentID(pack.KindPages, s.data)
	if err := s.image.AddGroup(id, s.pages, s.hashes); err != nil {
		return err
	}
	err := s.spool.Put(chunk.Block{ID: id, Data: s.data})
	s.pages, s.hashes, s.data = s.pages[:0], s.hashes[:0], s.data[:0]
	return err
}
