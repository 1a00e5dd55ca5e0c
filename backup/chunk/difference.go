package chunk

import (
	"sort"

	"strongroom/backup/pack"
)

// A group of differences says what its pages are by what they were: by the
// newest copies below, all of them together, since cells of SQLite's trees
// move between pages. So it is of use only with every group that it leans on.

const (
	// differencesMax is how many layers of differences there may be: a
	// restore goes over the packs once for each, and every one that is lost
	// costs the database.
	differencesMax = 16
	// DifferencePages is how many pages a writer puts into a group: more find
	// little more, and one page of them can not be had without the others.
	DifferencePages = 64
)

// TakesDifferences tells whether there may be one more layer of differences.
func (m *Image) TakesDifferences() bool {
	n := 0
	for _, l := range m.layers {
		if l.differ {
			n++
		}
	}
	return n < differencesMax
}

// StartDifferences begins the newest layer, one of differences.
func (m *Image) StartDifferences() { m.startLayer(true) }

// AddDifference adds a group to the newest layer, one of differences: its
// segment is bytes long, and each page leans on what is its newest copy now.
// ErrImage if one has none, or only in this layer.
func (m *Image) AddDifference(id pack.ID, bytes int, pages []uint32, hashes []Hash) error {
	if len(m.layers) == 0 || !m.layers[len(m.layers)-1].differ || bytes < 1 || !m.fits(pages, hashes) {
		return ErrImage
	}
	below := len(m.pages)
	if l := m.layers[len(m.layers)-1]; l.end > l.start {
		below = m.groups[l.start].start
	}
	bases := make([]uint32, len(pages))
	for i, p := range pages {
		at := m.newestOf(p)
		if at == 0 || int(at) > below {
			return ErrImage
		}
		bases[i] = at - 1
	}
	m.add(group{id: id, bytes: bytes, bases: bases}, pages, hashes)
	return nil
}

// newestOf is the position + 1 of a page's newest copy, 0 if it has none.
func (m *Image) newestOf(page uint32) uint32 {
	if page <= m.Pages {
		return m.newest[page-1]
	}
	return m.above[page]
}

// groupAt is the group that holds a position.
func (m *Image) groupAt(at uint32) int {
	return sort.Search(len(m.groups), func(i int) bool { return m.groups[i].end > int(at) })
}

// moved gives where bases are when groups begin at other positions; not ok if
// one of the groups is gone.
func (m *Image) moved(bases []uint32, starts []int) (out []uint32, ok bool) {
	for _, at := range bases {
		g := m.groupAt(at)
		if starts[g] < 0 {
			return nil, false
		}
		out = append(out, uint32(starts[g]+int(at)-m.groups[g].start))
	}
	return out, true
}

// needed tells which groups a restore reads: those with a live page, and all
// that these lean on. Of the groups that are given up no page counts as live.
func (m *Image) needed(givenUp []bool) []bool {
	need := make([]bool, len(m.groups))
	for i := len(m.groups) - 1; i >= 0; i-- { // who leans comes after what he leans on
		g := m.groups[i]
		if !need[i] {
			need[i] = (givenUp == nil || !givenUp[i]) && m.live(g) > 0
		}
		for _, at := range g.bases {
			if need[i] {
				need[m.groupAt(at)] = true
			}
		}
	}
	return need
}

// weight is what a group costs a restore, in pages.
func (m *Image) weight(g group) int {
	if g.bases == nil {
		return g.end - g.start
	}
	return (g.bytes + int(m.PageBytes) - 1) / int(m.PageBytes)
}
