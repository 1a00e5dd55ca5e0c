package chunk

import (
	"errors"

	"strongroom/backup/pack"
)

// Hash tells a changed page from an unchanged one at the same place.
type Hash = [16]byte

// ErrImage: the layers do not fit together.
var ErrImage = errors.New("chunk: layers of a database do not fit together")

// Image is what a repository holds of one database: layers of groups of
// pages. The newest layer that has a page says what it is; the copies below
// are dead, but for those that a difference leans on. It is kept flat, since a
// database has millions of pages.
type Image struct {
	PageBytes uint32
	Pages     uint32 // pages above are dead in every layer

	layers []layer // oldest first
	groups []group
	pages  []uint32          // page number at each position
	hashes []Hash            // at each position
	newest []uint32          // by page number - 1: position + 1 of its newest copy, 0 if none
	above  map[uint32]uint32 // the same of pages above Pages, which differences may still lean on
}

// layer is a range of groups, of whole pages or of differences. The page
// numbers of whole pages ascend throughout, those of differences in each group.
type layer struct {
	start, end int
	differ     bool
}

// group is a range of positions in one segment.
type group struct {
	id         pack.ID
	start, end int
	bytes      int      // of differences: the segment's
	bases      []uint32 // of differences: the position that each page leans on
}

// NewImage is of a database of so many pages, none of them stored yet.
func NewImage(pageBytes, pages uint32) *Image {
	m := &Image{PageBytes: pageBytes}
	m.Resize(pages)
	return m
}

// GroupPages is how many pages a full group holds.
func (m *Image) GroupPages() int { return pack.SegmentBytesMax / int(m.PageBytes) }

// StartLayer begins the newest layer, one of whole pages.
func (m *Image) StartLayer() { m.startLayer(false) }

func (m *Image) startLayer(differ bool) {
	m.layers = append(m.layers, layer{start: len(m.groups), end: len(m.groups), differ: differ})
}

// AddGroup adds a group of whole pages to the newest layer, after its other
// groups.
func (m *Image) AddGroup(id pack.ID, pages []uint32, hashes []Hash) error {
	if len(m.layers) == 0 || m.layers[len(m.layers)-1].differ || !m.fits(pages, hashes) {
		return ErrImage
	}
	top := m.layers[len(m.layers)-1]
	if top.end > top.start && m.pages[len(m.pages)-1] >= pages[0] {
		return ErrImage
	}
	m.add(group{id: id}, pages, hashes)
	return nil
}

// fits holds for pages that a group can have.
func (m *Image) fits(pages []uint32, hashes []Hash) bool {
	for i, p := range pages {
		if p == 0 || i > 0 && pages[i-1] >= p {
			return false
		}
	}
	return len(pages) > 0 && len(pages) == len(hashes) && len(pages) <= m.GroupPages()
}

func (m *Image) add(g group, pages []uint32, hashes []Hash) {
	g.start = len(m.pages)
	m.pages = append(m.pages, pages...)
	m.hashes = append(m.hashes, hashes...)
	g.end = len(m.pages)
	m.groups = append(m.groups, g)
	m.layers[len(m.layers)-1].end = len(m.groups)
	for i, p := range pages {
		at := uint32(g.start+i) + 1
		if p <= m.Pages {
			m.newest[p-1] = at
			continue
		}
		if m.above == nil {
			m.above = map[uint32]uint32{}
		}
		m.above[p] = at
	}
}

// Resize says how many pages the database has now, before groups are added.
// Those above are dead, for good: if the database grows again, they are new.
func (m *Image) Resize(pages uint32) {
	if int(pages) > len(m.newest) {
		m.newest = append(m.newest, make([]uint32, int(pages)-len(m.newest))...)
	}
	m.Pages = pages
	m.newest = m.newest[:pages]
}

// Hash gives the hash of a page's newest copy.
func (m *Image) Hash(page uint32) (h Hash, ok bool) {
	if page == 0 || int(page) > len(m.newest) || m.newest[page-1] == 0 {
		return h, false
	}
	return m.hashes[m.newest[page-1]-1], true
}

// Forget drops the groups that keep does not want and the differences that
// lean on them, as if their pages had never been stored: the next backup
// stores them again.
func (m *Image) Forget(keep func(pack.ID) bool) {
	m.rebuild(func(i int) bool { return keep(m.groups[i].id) })
}

// Trim drops the groups that nothing needs.
func (m *Image) Trim() {
	need := m.needed(nil)
	m.rebuild(func(i int) bool { return need[i] })
}

// live counts the pages of a group that are the newest.
func (m *Image) live(g group) (n int) {
	for at := g.start; at < g.end; at++ {
		if m.isNewest(at) {
			n++
		}
	}
	return n
}

func (m *Image) isNewest(at int) bool {
	p := m.pages[at]
	return p <= m.Pages && m.newest[p-1] == uint32(at)+1
}

// rebuild keeps some groups, and of differences only those that lean on kept
// ones. A page whose newest copy goes has none, even if an older one is kept:
// that one is not what the database holds.
func (m *Image) rebuild(keep func(group int) bool) {
	starts := make([]int, len(m.groups)) // new positions; -1: not kept
	out := &Image{PageBytes: m.PageBytes, Pages: m.Pages, newest: make([]uint32, len(m.newest))}
	for _, l := range m.layers {
		start := len(out.groups)
		for i := l.start; i < l.end; i++ {
			starts[i] = -1
			if bases, ok := m.moved(m.groups[i].bases, starts); ok && keep(i) {
				starts[i] = len(out.pages)
				out.take(m, m.groups[i], bases)
			}
		}
		if len(out.groups) > start {
			out.layers = append(out.layers, layer{start, len(out.groups), l.differ})
		}
	}
	*m = *out
}

func (m *Image) take(from *Image, g group, bases []uint32) {
	start := len(m.pages)
	for at := g.start; at < g.end; at++ {
		if from.isNewest(at) {
			m.newest[from.pages[at]-1] = uint32(len(m.pages)) + 1
		}
		m.pages = append(m.pages, from.pages[at])
		m.hashes = append(m.hashes, from.hashes[at])
	}
	m.groups = append(m.groups, group{g.id, start, len(m.pages), g.bytes, bases})
}
