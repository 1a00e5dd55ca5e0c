package chunk

import (
	"errors"
	"slices"

	"strongroom/backup/pack"
)

// Hash tells a changed page from an unchanged one at the same place.
type Hash = [16]byte

// ErrImage: the layers do not fit together.
var ErrImage = errors.New("chunk: layers of a database do not fit together")

// Image is what a repository holds of one database: layers of groups of
// pages. The newest layer that has a page says what it is; the copies below
// are dead. It is kept flat, since a database has millions of pages.
type Image struct {
	PageBytes uint32
	Pages     uint32 // pages above are dead in every layer

	layers []layer // oldest first
	groups []group
	pages  []uint32 // page number at each position
	hashes []Hash   // at each position
	newest []uint32 // by page number - 1: position + 1 of its newest copy, 0 if none
}

// layer is a range of groups, whose page numbers ascend throughout.
type layer struct{ start, end int }

// group is a range of positions in one segment.
type group struct {
	id         pack.ID
	start, end int
}

// NewImage is of a database of so many pages, none of them stored yet.
func NewImage(pageBytes, pages uint32) *Image {
	m := &Image{PageBytes: pageBytes}
	m.Resize(pages)
	return m
}

// GroupPages is how many pages a full group holds.
func (m *Image) GroupPages() int { return pack.SegmentBytesMax / int(m.PageBytes) }

// StartLayer begins the newest layer.
func (m *Image) StartLayer() {
	m.layers = append(m.layers, layer{len(m.groups), len(m.groups)})
}

// AddGroup adds a group to the newest layer, after its other groups.
func (m *Image) AddGroup(id pack.ID, pages []uint32, hashes []Hash) error {
	if len(m.layers) == 0 || len(pages) == 0 || len(pages) != len(hashes) || len(pages) > m.GroupPages() {
		return ErrImage
	}
	top := &m.layers[len(m.layers)-1]
	if top.end > top.start && m.pages[len(m.pages)-1] >= pages[0] || pages[0] == 0 {
		return ErrImage
	}
	start := len(m.pages)
	m.pages = append(m.pages, pages...)
	m.hashes = append(m.hashes, hashes...)
	m.groups = append(m.groups, group{id, start, len(m.pages)})
	top.end = len(m.groups)
	for i, p := range pages {
		if p <= m.Pages {
			m.newest[p-1] = uint32(start+i) + 1
		}
	}
	return nil
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

// Forget drops the groups that keep does not want, as if their pages had
// never been stored: the next backup stores them again.
func (m *Image) Forget(keep func(pack.ID) bool) {
	m.rebuild(func(g group) bool { return keep(g.id) })
}

// Trim drops the groups in which every page is dead.
func (m *Image) Trim() {
	m.rebuild(func(g group) bool { return m.live(g) > 0 })
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

// rebuild keeps some groups. A page whose newest copy goes has none, even if
// an older one is kept: that one is not what the database holds.
func (m *Image) rebuild(keep func(group) bool) {
	kept := make([]bool, len(m.groups))
	for i, g := range m.groups {
		kept[i] = keep(g)
	}
	out := &Image{PageBytes: m.PageBytes, Pages: m.Pages, newest: make([]uint32, len(m.newest))}
	for _, l := range m.layers {
		start := len(out.groups)
		for i := l.start; i < l.end; i++ {
			if kept[i] {
				out.take(m, m.groups[i])
			}
		}
		if len(out.groups) > start {
			out.layers = append(out.layers, layer{start, len(out.groups)})
		}
	}
	*m = *out
}

func (m *Image) take(from *Image, g group) {
	start := len(m.pages)
	for at := g.start; at < g.end; at++ {
		if from.isNewest(at) {
			m.newest[from.pages[at]-1] = uint32(len(m.pages)) + 1
		}
		m.pages = append(m.pages, from.pages[at])
		m.hashes = append(m.hashes, from.hashes[at])
	}
	m.groups = append(m.groups, group{g.id, start, len(m.pages)})
}

// Limits that keep a restore near what a fresh full backup would cost.
const (
	readPercentMax = 125 // pages that a restore reads, per hundred of the database
	layersMax      = 32  // a backup that has more merges the smallest ...
	layersMerged   = 16  // ... until this many are left
)

// Stale gives the pages, ascending, that are to be stored again in one new
// layer, so that after Trim a restore reads at most readPercentMax pages for
// a hundred, from at most layersMax layers. Groups with the smallest share of
// live pages go first: they cost least.
func (m *Image) Stale() []uint32 {
	lives := make([]int, len(m.groups))
	chosen := make([]bool, len(m.groups))
	total := 0
	for i, g := range m.groups {
		if lives[i] = m.live(g); lives[i] > 0 {
			total += g.end - g.start
		}
	}
	m.mergeLayers(lives, func(i int) {
		chosen[i] = true
		total -= m.groups[i].end - m.groups[i].start - lives[i]
	})
	for _, i := range m.byShare(lives) {
		if total*100 <= int(m.Pages)*readPercentMax {
			break
		}
		if !chosen[i] {
			chosen[i] = true
			total -= m.groups[i].end - m.groups[i].start - lives[i]
		}
	}
	return m.livePages(chosen)
}

// byShare gives the groups with live pages, smallest share first.
func (m *Image) byShare(lives []int) (order []int) {
	for i := range m.groups {
		if lives[i] > 0 {
			order = append(order, i)
		}
	}
	size := func(i int) int { return m.groups[i].end - m.groups[i].start }
	slices.SortStableFunc(order, func(a, b int) int { return lives[a]*size(b) - lives[b]*size(a) })
	return order
}

// mergeLayers chooses every group of the layers with the fewest live pages if
// there are too many layers.
func (m *Image) mergeLayers(lives []int, choose func(group int)) {
	type weight struct{ layer, live int }
	var weights []weight
	for i, l := range m.layers {
		w := weight{layer: i}
		for g := l.start; g < l.end; g++ {
			w.live += lives[g]
		}
		if w.live > 0 {
			weights = append(weights, w)
		}
	}
	if len(weights) <= layersMax {
		return
	}
	slices.SortStableFunc(weights, func(a, b weight) int { return a.live - b.live })
	for _, w := range weights[:len(weights)-layersMerged+1] {
		for g := m.layers[w.layer].start; g < m.layers[w.layer].end; g++ {
			if lives[g] > 0 {
				choose(g)
			}
		}
	}
}

func (m *Image) livePages(chosen []bool) (pages []uint32) {
	for i, g := range m.groups {
		for at := g.start; chosen[i] && at < g.end; at++ {
			if m.isNewest(at) {
				pages = append(pages, m.pages[at])
			}
		}
	}
	slices.Sort(pages)
	return pages
}
