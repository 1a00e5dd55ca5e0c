package tree

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// fanout is the number of slots of a node: one nibble of a path.
const fanout = 16

type kind uint8

const (
	empty kind = 0
	leaf  kind = 1 // a record's path and MAC
	inner kind = 2 // the hash of a node one deeper
)

// slot is one of a node's places.
type slot struct {
	kind  kind
	hash  [sha256.Size]byte // of a leaf: its MAC; of an inner one: the child's hash
	path  Path              // of a leaf
	child *node             // of an inner one: nil while its page is with the host alone
}

// node is a node of which the box holds the page.
type node struct {
	slots   [fanout]slot
	changed bool   // by the Apply that runs
	written bool   // its page was given out and is not yet kept
	used    uint64 // the tree's clock when it was last on somebody's way
}

// errPage: bytes that are no page. Tree names the page.
var errPage = errors.New("tree: not a page")

// page is the node's encoding: two bits a slot (little-endian, slot 0 lowest)
// that tell its kind, then for each slot in turn the hash of an inner one, or
// path and MAC of a leaf.
func (n *node) page() []byte {
	var kinds uint32
	b := make([]byte, 4, 4+fanout*sha256.Size)
	for i := range n.slots {
		s := &n.slots[i]
		kinds |= uint32(s.kind) << (2 * i)
		switch s.kind {
		case leaf:
			b = append(append(b, s.path[:]...), s.hash[:]...)
		case inner:
			b = append(b, s.hash[:]...)
		}
	}
	binary.LittleEndian.PutUint32(b, kinds)
	return b
}

// parsePage undoes page, or gives errPage.
func parsePage(b []byte) (*node, error) {
	if len(b) < 4 {
		return nil, errPage
	}
	kinds, b := binary.LittleEndian.Uint32(b), b[4:]
	n := new(node)
	for i := range n.slots {
		s := &n.slots[i]
		s.kind = kind(kinds >> (2 * i) & 3)
		if s.kind == leaf {
			if len(b) < PathBytes {
				return nil, errPage
			}
			b = b[copy(s.path[:], b):]
		}
		if s.kind != empty {
			if len(b) < len(s.hash) || s.kind > inner {
				return nil, errPage
			}
			b = b[copy(s.hash[:], b):]
		}
	}
	if len(b) != 0 {
		return nil, errPage
	}
	return n, nil
}

// hashPage is the hash of a page at its place (SHA-256): a page is good
// nowhere else.
func hashPage(key, page []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte("strongroom/v1/tree/node"))
	h.Write([]byte{byte(len(key))})
	h.Write(key)
	h.Write(page)
	h.Sum(sum[:0])
	return sum
}

// nodeKey is the name under which the host keeps the node at a depth on the
// way to p: depth || the nibbles before it, packed.
func nodeKey(p Path, depth int) []byte {
	p = p.cut(depth)
	return append([]byte{byte(depth)}, p[:(depth+1)/2]...)
}
