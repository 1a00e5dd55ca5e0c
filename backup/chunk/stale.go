package chunk

import "slices"

// Limits that keep a restore near what a fresh full backup would cost.
const (
	readPercentMax = 125 // pages that a restore reads, per hundred of the database
	layersMax      = 32  // a backup that has more, beside differences and what they lean on, merges the smallest ...
	layersMerged   = 16  // ... until this many are left
)

// Stale gives the pages, ascending, that are to be stored again in one new
// layer, so that after Trim a restore reads at most readPercentMax pages for
// a hundred, from few layers. Groups with the smallest share of live pages go
// first: they cost least. What differences lean on can not go before them:
// where that would not do, or anew is asked for, all pages that are
// differences are stored whole.
func (m *Image) Stale(anew bool) []uint32 {
	if !anew {
		if pages, enough := m.stale(false); enough {
			return pages
		}
	}
	pages, _ := m.stale(true)
	return pages
}

// review is what Stale knows of the groups.
type review struct {
	lives  []int  // live pages
	need   []bool // a restore reads it
	leant  []bool // and something leans on it
	chosen []bool // to be stored again
	total  int    // pages that a restore reads
}

func (m *Image) review(anew bool) *review {
	n := len(m.groups)
	r := &review{lives: make([]int, n), leant: make([]bool, n), chosen: make([]bool, n)}
	for i, g := range m.groups {
		r.lives[i] = m.live(g)
		r.chosen[i] = anew && g.bases != nil && r.lives[i] > 0
	}
	r.need = m.needed(r.chosen)
	for i, g := range m.groups {
		switch {
		case r.chosen[i]:
			r.total += r.lives[i]
		case r.need[i]:
			r.total += m.weight(g)
			for _, at := range g.bases {
				r.leant[m.groupAt(at)] = true
			}
		}
	}
	return r
}

// free tells whether a group can be stored again without regard to others.
func (r *review) free(m *Image, i int) bool {
	return r.need[i] && !r.leant[i] && !r.chosen[i] && m.groups[i].bases == nil
}

// choose stores a group's live pages again.
func (r *review) choose(m *Image, i int) {
	if r.free(m, i) {
		r.chosen[i] = true
		r.total -= m.weight(m.groups[i]) - r.lives[i]
	}
}

// stale is Stale with or without the differences. Where they stay, only what
// is more dead than alive is stored again; enough tells if that will do.
func (m *Image) stale(anew bool) (pages []uint32, enough bool) {
	r := m.review(anew)
	m.mergeLayers(r)
	within := func() bool { return r.total*100 <= int(m.Pages)*readPercentMax }
	for _, i := range m.byShare(r) {
		if within() || !anew && r.lives[i]*2 > m.weight(m.groups[i]) {
			break
		}
		r.choose(m, i)
	}
	return m.livePages(r.chosen), within()
}

// byShare gives the groups that can be stored again, smallest share first.
func (m *Image) byShare(r *review) (order []int) {
	for i := range m.groups {
		if r.free(m, i) {
			order = append(order, i)
		}
	}
	size := func(i int) int { return m.groups[i].end - m.groups[i].start }
	slices.SortStableFunc(order, func(a, b int) int { return r.lives[a]*size(b) - r.lives[b]*size(a) })
	return order
}

// mergeLayers chooses every group of the layers with the fewest live pages if
// there are too many layers.
func (m *Image) mergeLayers(r *review) {
	type weight struct{ layer, live int }
	var weights []weight
	for i, l := range m.layers {
		w, free := weight{layer: i}, true
		for g := l.start; g < l.end; g++ {
			w.live += r.lives[g]
			free = free && (!r.need[g] || r.free(m, g))
		}
		if w.live > 0 && free {
			weights = append(weights, w)
		}
	}
	if len(weights) <= layersMax {
		return
	}
	slices.SortStableFunc(weights, func(a, b weight) int { return a.live - b.live })
	for _, w := range weights[:len(weights)-layersMerged+1] {
		for g := m.layers[w.layer].start; g < m.layers[w.layer].end; g++ {
			r.choose(m, g)
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
