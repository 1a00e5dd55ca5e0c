package chunk

import (
	"strongroom/backup/pack"
)

// Layer is one layer as a repository stores it.
type Layer struct {
	Pages  uint32
	Runs   []pack.Run
	Groups []pack.ID
	Hashes [][]byte // joined they are the hash of each page in order
}

// Hash segments end after a group whose id says so, so that dropping a group
// changes one of them and not all behind it.
const (
	hashCutMask   = 15
	hashGroupsMax = 64
)

// Layers gives the image as a repository stores it.
func (m *Image) Layers() (out []Layer) {
	for _, l := range m.layers {
		out = append(out, m.store(l))
	}
	return out
}

func (m *Image) store(l layer) (out Layer) {
	var hashes []byte
	groups := 0
	for _, g := range m.groups[l.start:l.end] {
		out.Groups = append(out.Groups, g.id)
		for at := g.start; at < g.end; at++ {
			out.Runs = appendPage(out.Runs, m.pages[at])
			hashes = append(hashes, m.hashes[at][:]...)
		}
		out.Pages += uint32(g.end - g.start)
		if groups++; g.id[0]&hashCutMask == 0 || groups == hashGroupsMax || len(hashes)+m.GroupPages()*len(Hash{}) > pack.SegmentBytesMax {
			out.Hashes, hashes, groups = append(out.Hashes, hashes), nil, 0
		}
	}
	if len(hashes) > 0 {
		out.Hashes = append(out.Hashes, hashes)
	}
	return out
}

func appendPage(runs []pack.Run, page uint32) []pack.Run {
	if n := len(runs); n > 0 && runs[n-1].First+runs[n-1].Count == page {
		runs[n-1].Count++
		return runs
	}
	return append(runs, pack.Run{First: page, Count: 1})
}

// AddStored adds a layer as a repository stores it; groupBytes gives the
// size of each group's segment. ErrImage if its parts do not fit.
func (m *Image) AddStored(runs []pack.Run, groups []pack.ID, hashes []byte, groupBytes func(pack.ID) (int, bool)) error {
	count := 0
	for _, r := range runs {
		count += int(r.Count)
	}
	if len(hashes) != count*len(Hash{}) {
		return ErrImage // before anything of that size is made
	}
	pages := make([]uint32, 0, count)
	for _, r := range runs {
		for i := range r.Count {
			pages = append(pages, r.First+i)
		}
	}
	m.StartLayer()
	for _, id := range groups {
		size, ok := groupBytes(id)
		n := size / int(m.PageBytes)
		if !ok || size%int(m.PageBytes) != 0 || n > len(pages) {
			return ErrImage
		}
		sums := make([]Hash, n)
		for i := range sums {
			sums[i] = Hash(hashes[i*len(Hash{}):])
		}
		if err := m.AddGroup(id, pages[:n], sums); err != nil {
			return err
		}
		pages, hashes = pages[n:], hashes[n*len(Hash{}):]
	}
	if len(pages) != 0 {
		return ErrImage
	}
	return nil
}

// Group is a segment of pages that a restore needs.
type Group struct {
	ID     pack.ID
	Pages  []uint32 // numbers of all its pages, in order
	Hashes []Hash
	Live   []bool // which of them the database holds
}

// Groups gives the groups that hold a live page.
func (m *Image) Groups(group func(Group) error) error {
	for _, g := range m.groups {
		out := Group{ID: g.id, Pages: m.pages[g.start:g.end], Hashes: m.hashes[g.start:g.end], Live: make([]bool, g.end-g.start)}
		any := false
		for i := range out.Live {
			out.Live[i] = m.isNewest(g.start + i)
			any = any || out.Live[i]
		}
		if !any {
			continue
		}
		if err := group(out); err != nil {
			return err
		}
	}
	return nil
}

// lockByte is where SQLite locks; the page that holds it is never used
// (SQLite file format, section 1.4).
const lockByte = 1 << 30

// Whole tells whether every page has a copy, but for the lock page.
func (m *Image) Whole() bool {
	for i, at := range m.newest {
		if at == 0 && i != lockByte/int(m.PageBytes) {
			return false
		}
	}
	return true
}

// ReadPages is how many pages a restore reads.
func (m *Image) ReadPages() (n int) {
	for _, g := range m.groups {
		if m.live(g) > 0 {
			n += g.end - g.start
		}
	}
	return n
}
