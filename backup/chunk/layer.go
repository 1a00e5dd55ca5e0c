package chunk

import (
	"bytes"

	"strongroom/backup/pack"
)

// Layer is one layer as a repository stores it.
type Layer struct {
	Coding uint8 // pack.CodingWhole or pack.CodingDifference
	Pages  uint32
	Runs   [][]pack.Run // of the whole layer; one list for each group of differences
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
	if l.differ {
		out.Coding = pack.CodingDifference
	}
	var hashes []byte
	groups := 0
	for _, g := range m.groups[l.start:l.end] {
		out.Groups = append(out.Groups, g.id)
		if l.differ || len(out.Runs) == 0 {
			out.Runs = append(out.Runs, nil)
		}
		runs := &out.Runs[len(out.Runs)-1]
		for at := g.start; at < g.end; at++ {
			*runs = appendPage(*runs, m.pages[at])
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

// AddStored adds a layer as a repository stores it, but for Pages; groupBytes
// gives the size of each group's segment. ErrImage if its parts do not fit.
func (m *Image) AddStored(l Layer, groupBytes func(pack.ID) (int, bool)) error {
	count := 0
	for _, runs := range l.Runs {
		for _, r := range runs {
			count += int(r.Count)
		}
	}
	hashes := bytes.Join(l.Hashes, nil)
	if len(hashes) != count*len(Hash{}) {
		return ErrImage // before anything of that size is made
	}
	if l.Coding == pack.CodingDifference {
		return m.addDifferences(l, hashes, groupBytes)
	}
	pages := make([]uint32, 0, count)
	for _, runs := range l.Runs {
		pages = appendPages(pages, runs)
	}
	m.StartLayer()
	for _, id := range l.Groups {
		size, ok := groupBytes(id)
		n := size / int(m.PageBytes)
		if !ok || size%int(m.PageBytes) != 0 || n > len(pages) {
			return ErrImage
		}
		if err := m.AddGroup(id, pages[:n], splitHashes(hashes, n)); err != nil {
			return err
		}
		pages, hashes = pages[n:], hashes[n*len(Hash{}):]
	}
	if len(pages) != 0 {
		return ErrImage
	}
	return nil
}

func (m *Image) addDifferences(l Layer, hashes []byte, groupBytes func(pack.ID) (int, bool)) error {
	if len(l.Runs) != len(l.Groups) {
		return ErrImage
	}
	m.StartDifferences()
	for i, id := range l.Groups {
		pages := appendPages(nil, l.Runs[i])
		size, ok := groupBytes(id)
		if !ok {
			return ErrImage
		}
		if err := m.AddDifference(id, size, pages, splitHashes(hashes, len(pages))); err != nil {
			return err
		}
		hashes = hashes[len(pages)*len(Hash{}):]
	}
	return nil
}

func appendPages(pages []uint32, runs []pack.Run) []uint32 {
	for _, r := range runs {
		for i := range r.Count {
			pages = append(pages, r.First+i)
		}
	}
	return pages
}

func splitHashes(b []byte, n int) []Hash {
	out := make([]Hash, n)
	for i := range out {
		out[i] = Hash(b[i*len(Hash{}):])
	}
	return out
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

// ReadPages is how many pages a restore reads, and differences of their size.
func (m *Image) ReadPages() (n int) {
	for i, need := range m.needed(nil) {
		if need {
			n += m.weight(m.groups[i])
		}
	}
	return n
}
