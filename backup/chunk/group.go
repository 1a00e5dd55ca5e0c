package chunk

import (
	"slices"

	"strongroom/backup/pack"
)

// Group is a segment of pages that a restore needs.
type Group struct {
	ID     pack.ID
	Pages  []uint32 // numbers of all its pages, in order
	Hashes []Hash
	Live   []bool // which of them the database holds

	// Level is 0 for whole pages, else one more than the highest level that it
	// leans on: who reads level after level has what differences lean on.
	Level int
	// On are the groups that differences lean on, by their place in the order
	// of Groups; Bases is where each page's base is kept.
	On    []int
	Bases []int
	// Keep is where a page is kept that others lean on, -1 for those that
	// none does; nil for none at all. Places are numbers from 0 on.
	Keep []int
}

// Groups gives the groups that a restore reads, what others lean on first.
func (m *Image) Groups(give func(Group) error) error {
	need, place := m.needed(nil), map[uint32]int{}
	for i, g := range m.groups {
		for _, at := range g.bases {
			if _, known := place[at]; need[i] && !known {
				place[at] = len(place)
			}
		}
	}
	levels, order := make([]int, len(m.groups)), make([]int, len(m.groups))
	n := 0
	for i, g := range m.groups {
		if !need[i] {
			continue
		}
		out := Group{ID: g.id, Pages: m.pages[g.start:g.end], Hashes: m.hashes[g.start:g.end], Live: make([]bool, g.end-g.start)}
		for j := range out.Live {
			out.Live[j] = m.isNewest(g.start + j)
		}
		for _, at := range g.bases {
			on := m.groupAt(at)
			levels[i] = max(levels[i], levels[on]+1)
			out.On = append(out.On, order[on])
			out.Bases = append(out.Bases, place[at])
		}
		slices.Sort(out.On)
		out.On, out.Level, out.Keep = slices.Compact(out.On), levels[i], keep(g, place)
		order[i] = n
		n++
		if err := give(out); err != nil {
			return err
		}
	}
	return nil
}

// keep gives where the pages of a group are kept.
func keep(g group, place map[uint32]int) (out []int) {
	for at := g.start; at < g.end; at++ {
		p, ok := place[uint32(at)]
		if !ok {
			if out != nil {
				out = append(out, -1)
			}
			continue
		}
		for len(out) < at-g.start {
			out = append(out, -1)
		}
		out = append(out, p)
	}
	return out
}
