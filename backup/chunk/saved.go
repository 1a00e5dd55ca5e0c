package chunk

import (
	"encoding/binary"

	"strongroom/backup/pack"
)

// imageVersion begins what Bytes gives. 0, the first byte of a page size, began
// it before there were differences.
const imageVersion = 2

// Bytes is the image for the local state: only ParseImage reads it.
func (m *Image) Bytes() []byte {
	b := binary.BigEndian.AppendUint32([]byte{imageVersion}, m.PageBytes)
	b = binary.BigEndian.AppendUint32(b, m.Pages)
	b = binary.AppendUvarint(b, uint64(len(m.layers)))
	for _, l := range m.layers {
		coding := uint64(pack.CodingWhole)
		if l.differ {
			coding = pack.CodingDifference
		}
		b = binary.AppendUvarint(b, coding)
		b = binary.AppendUvarint(b, uint64(l.end-l.start))
		for _, g := range m.groups[l.start:l.end] {
			b = m.appendGroup(b, g)
		}
	}
	return b
}

func (m *Image) appendGroup(b []byte, g group) []byte {
	b = append(b, g.id[:]...)
	if g.bases != nil {
		b = binary.AppendUvarint(b, uint64(g.bytes))
	}
	b = binary.AppendUvarint(b, uint64(g.end-g.start))
	last := uint32(0)
	for at := g.start; at < g.end; at++ {
		b = binary.AppendUvarint(b, uint64(m.pages[at]-last))
		b = append(b, m.hashes[at][:]...)
		last = m.pages[at]
	}
	return b
}

// cursor reads what Bytes wrote; bad stays set once something did not fit.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n int) []byte {
	if n > len(c.b) {
		c.bad, c.b = true, nil
		return make([]byte, n)
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

// number reads a uvarint of at most limit.
func (c *cursor) number(limit uint64) int {
	x, n := binary.Uvarint(c.b)
	if n <= 0 || x > limit {
		c.bad, c.b = true, nil
		return 0
	}
	c.b = c.b[n:]
	return int(x)
}

// ParseImage reads what Bytes gave. ErrImage for anything else.
func ParseImage(b []byte) (*Image, error) {
	c := &cursor{b: b}
	version := c.bytes(1)[0]
	pageBytes, pages := binary.BigEndian.Uint32(c.bytes(4)), binary.BigEndian.Uint32(c.bytes(4))
	if c.bad || version != imageVersion || !PageBytesValid(pageBytes) || uint64(pages) > uint64(len(b)) {
		return nil, ErrImage // every page takes more than a byte here
	}
	m := NewImage(pageBytes, pages)
	for range c.number(uint64(len(b))) {
		differ := c.number(pack.CodingDifference) == pack.CodingDifference
		m.startLayer(differ)
		for range c.number(uint64(len(c.b))) {
			if err := c.group(m, differ); err != nil {
				return nil, err
			}
		}
	}
	if c.bad || len(c.b) != 0 {
		return nil, ErrImage
	}
	return m, nil
}

func (c *cursor) group(m *Image, differ bool) error {
	id, size := pack.ID(c.bytes(len(pack.ID{}))), 0
	if differ {
		size = c.number(pack.SegmentBytesMax)
	}
	n := c.number(uint64(m.GroupPages()))
	pages, hashes := make([]uint32, n), make([]Hash, n)
	last := 0
	for i := range pages {
		step := c.number(pageMax)
		if last += step; step == 0 || last > pageMax {
			return ErrImage
		}
		pages[i], hashes[i] = uint32(last), Hash(c.bytes(len(Hash{})))
	}
	if c.bad {
		return ErrImage
	}
	if differ {
		return m.AddDifference(id, size, pages, hashes)
	}
	return m.AddGroup(id, pages, hashes)
}

// pageMax is SQLite's largest page number (SQLITE_MAX_PAGE_COUNT).
const pageMax = 1<<32 - 2

// PageBytesValid tells the page sizes that SQLite has.
func PageBytesValid(n uint32) bool { return n >= 512 && n <= 65536 && n&(n-1) == 0 }
