package pack

import "hash/maphash"

// placed is one copy of a segment. An index of a million segments has a
// million of these, so they lie in blocks, hold no pointer for the collector
// to follow, and their offsets follow from their order, as in a table.
type placed struct {
	id     ID
	pack   uint32 // number of its packInfo
	offset uint32
	sealed uint32
	raw    uint32 // and the kind: kindShift
	next   uint32 // the number of the next copy of this segment; 0: none
}

// kindShift: a segment's plaintext is at most 2^20 bytes, so its kind fits
// above it.
const kindShift = 24

// blockSegments is how many are allocated at once.
const blockSegments = 1 << 10

// segments finds the copies of a segment by its id: open addressing over the
// numbers of the first copies, which begin at 1.
type segments struct {
	seed   maphash.Seed // Attack: who holds K forges an index of ids that all meet in one slot
	blocks [][]placed
	count  uint32
	firsts uint32
	slots  []uint32 // a power of two; 0: free
}

func newSegments() segments {
	return segments{seed: maphash.MakeSeed(), slots: make([]uint32, 1<<8)}
}

func (s *segments) at(number uint32) *placed {
	return &s.blocks[(number-1)/blockSegments][(number-1)%blockSegments]
}

// slot gives where the id is, or would be.
func (s *segments) slot(id *ID) int {
	mask := len(s.slots) - 1
	for i := int(maphash.Bytes(s.seed, id[:])) & mask; ; i = (i + 1) & mask {
		if n := s.slots[i]; n == 0 || s.at(n).id == *id {
			return i
		}
	}
}

// first gives the number of a segment's first copy, 0 if there is none.
func (s *segments) first(id ID) uint32 { return s.slots[s.slot(&id)] }

// add appends one copy.
func (s *segments) add(pack uint32, offset uint32, seg *segment) {
	if s.count%blockSegments == 0 {
		s.blocks = append(s.blocks, make([]placed, blockSegments))
	}
	s.count++
	*s.at(s.count) = placed{id: seg.ID, pack: pack, offset: offset, sealed: seg.Sealed, raw: seg.Raw | uint32(seg.Kind)<<kindShift}
	at := s.slot(&seg.ID)
	if n := s.slots[at]; n != 0 {
		s.at(s.count).next, s.at(n).next = s.at(n).next, s.count
		return
	}
	s.slots[at] = s.count
	if s.firsts++; int(s.firsts) > len(s.slots)/4*3 {
		s.grow()
	}
}

func (s *segments) grow() {
	old := s.slots
	s.slots = make([]uint32, 2*len(old))
	for _, n := range old {
		if n != 0 {
			s.slots[s.slot(&s.at(n).id)] = n
		}
	}
}

// segment is what a table says of a copy.
func (p *placed) segment() segment {
	return segment{ID: p.id, Kind: Kind(p.raw >> kindShift), Raw: p.raw & (1<<kindShift - 1), Sealed: p.sealed}
}
