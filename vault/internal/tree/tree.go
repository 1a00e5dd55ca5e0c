// Package tree is the record tree: a Merkle tree (Merkle 1987) over all
// records, radix 16 over their paths. The host keeps its pages, the box keeps
// the root and as many nodes as it likes. Every page that the host shows is
// compared with the hash that the node above it holds, so that one flipped,
// swapped, replayed or older byte is found at the first look.
//
// The tree says which record is the newest at each path, and where there is
// none. It changes only by Apply, at a checkpoint; leaves are never removed,
// because a deleted record leaves a tombstone.
package tree

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrPage: what the host shows is not what the box gave it. It is wrapped with
// the page's name.
var ErrPage = errors.New("tree: a page of the record tree was changed, swapped, or put back from an earlier time")

// Page is one page under the name that the host keeps it by.
type Page struct{ Key, Bytes []byte }

// Leaf is the newest record at a path.
type Leaf struct {
	Path Path
	MAC  MAC
}

// Tree is the part of a record tree that the box holds. It is not safe for
// concurrent use.
type Tree struct {
	top    slot   // empty for a tree without leaves, else inner
	leaves uint64 // in the whole tree
	nodes  int    // held
	clock  uint64 // goes on at each Shrink
}

// Root is what the box must keep of a tree. The zero value is the empty one.
type Root struct {
	Hash   [32]byte
	Leaves uint64
}

// New holds nothing but the root.
func New(r Root) *Tree {
	t := &Tree{leaves: r.Leaves}
	if r.Leaves > 0 {
		t.top = slot{kind: inner, hash: r.Hash}
	}
	return t
}

// Root is the present one.
func (t *Tree) Root() Root { return Root{t.top.hash, t.leaves} }

// Held is the number of nodes in memory.
func (t *Tree) Held() int { return t.nodes }

// Sight is what the tree knows of a path.
type Sight uint8

const (
	Missing Sight = iota // a page must be asked for: see Wanted
	Absent               // proven: there is no record at the path
	Present              // proven: the record has this MAC
)

// Find looks a path up.
func (t *Tree) Find(p Path) (Sight, MAC) {
	s, _ := t.walk(p)
	switch {
	case s.kind == inner:
		return Missing, MAC{}
	case s.kind == leaf && s.path == p:
		return Present, s.hash
	}
	return Absent, MAC{}
}

// walk goes towards p as far as nodes are held, and gives the slot where it
// ends with the depth of the node that would follow.
func (t *Tree) walk(p Path) (*slot, int) {
	s, depth := &t.top, 0
	for s.kind == inner && s.child != nil {
		s.child.used = t.clock
		s = &s.child.slots[p.nibble(depth)]
		depth++
	}
	return s, depth
}

// Wanted names the pages to ask the host for where Find says Missing: those
// towards p below what is held, down to where in a tree of this size most
// leaves stand. Nil when none is missing.
func (t *Tree) Wanted(p Path) (keys [][]byte) {
	s, depth := t.walk(p)
	if s.kind != inner {
		return nil
	}
	bottom := 1
	for n := t.leaves; n >= fanout; n /= fanout {
		bottom++
	}
	for d := depth; d <= max(depth, bottom); d++ {
		keys = append(keys, nodeKey(p, d))
	}
	return keys
}

// Graft takes the host's answer to Wanted, page by page; an empty one stands
// for a page that the host does not have. It may leave the path Missing still.
// Its error is ErrPage.
func (t *Tree) Graft(p Path, pages []Page) error {
	for _, page := range pages {
		s, depth := t.walk(p)
		if s.kind != inner {
			return nil
		}
		key := nodeKey(p, depth)
		if !bytes.Equal(key, page.Key) {
			continue // held already, or of a node above that was given back meanwhile
		}
		n, err := parsePage(page.Bytes)
		if err != nil || hashPage(key, page.Bytes) != s.hash {
			return fmt.Errorf("%w: node %x", ErrPage, key)
		}
		n.used = t.clock
		s.child = n
		t.nodes++
	}
	return nil
}

// Apply enters the leaves, each the newest at its path, and gives the pages
// that became other ones: the host must keep all of them together. None of the
// paths may be Missing. The pages' nodes stay held until Kept.
func (t *Tree) Apply(leaves []Leaf) []Page {
	for _, l := range leaves {
		t.enter(l)
	}
	var pages []Page
	t.settle(&t.top, Path{}, 0, &pages)
	return pages
}

func (t *Tree) enter(l Leaf) {
	if t.top.kind == empty {
		t.top = slot{kind: inner, child: new(node)}
		t.nodes++
	}
	s, depth := &t.top, 0
	for s.kind == inner {
		if s.child == nil {
			panic("tree: Apply where a page is missing") // the caller asks Find first
		}
		s.child.changed = true
		s = &s.child.slots[l.Path.nibble(depth)]
		depth++
	}
	if s.kind == leaf && s.path != l.Path {
		t.split(s, l.Path, depth)
		t.enter(l)
		return
	}
	if s.kind == empty {
		t.leaves++
	}
	*s = slot{kind: leaf, path: l.Path, hash: l.MAC}
}

// split puts a node below s, with the leaf that stood in s: until p and that
// leaf part.
func (t *Tree) split(s *slot, p Path, depth int) {
	for old := *s; ; depth++ {
		n := &node{changed: true, used: t.clock}
		t.nodes++
		*s = slot{kind: inner, child: n}
		s = &n.slots[old.path.nibble(depth)]
		*s = old
		if old.path.nibble(depth) != p.nibble(depth) {
			return
		}
	}
}

// settle hashes what changed, from the leaves up.
func (t *Tree) settle(s *slot, p Path, depth int, pages *[]Page) {
	n := s.child
	if n == nil || !n.changed {
		return
	}
	for i := range n.slots {
		t.settle(&n.slots[i], p.with(depth, i), depth+1, pages)
	}
	n.changed, n.written = false, true
	page := Page{nodeKey(p, depth), n.page()}
	s.hash = hashPage(page.Key, page.Bytes)
	*pages = append(*pages, page)
}

// Kept says that the host keeps what Apply gave.
func (t *Tree) Kept() { t.each(&t.top, func(n *node) { n.written = false }) }

func (t *Tree) each(s *slot, do func(*node)) {
	if s.child == nil {
		return
	}
	do(s.child)
	for i := range s.child.slots {
		t.each(&s.child.slots[i], do)
	}
}

// Shrink gives nodes back until at most nodesMax are held, those first that
// nobody came by since the last time; never one whose page is not kept yet.
func (t *Tree) Shrink(nodesMax int) {
	if t.nodes <= nodesMax {
		return
	}
	t.drop(&t.top, t.clock)
	if t.nodes > nodesMax {
		t.drop(&t.top, t.clock+1)
	}
	t.clock++
}

// drop gives back what was last used before a time, from the leaves up.
func (t *Tree) drop(s *slot, before uint64) {
	n := s.child
	if n == nil {
		return
	}
	held := false
	for i := range n.slots {
		t.drop(&n.slots[i], before)
		held = held || n.slots[i].child != nil
	}
	if !held && !n.written && n.used < before {
		s.child = nil
		t.nodes--
	}
}

// Next is the first leaf after a path, in their order. Missing means that
// pages towards the path that it gives must be asked for first; Absent that
// there is none.
func (t *Tree) Next(after Path) (Sight, Path) {
	from, carried := after.successor()
	if carried {
		return Absent, Path{}
	}
	return t.next(&t.top, from, Path{}, 0)
}

// next looks in the subtree of s, whose paths begin as prefix does up to
// depth. From is not below it.
func (t *Tree) next(s *slot, from, prefix Path, depth int) (Sight, Path) {
	switch {
	case s.kind == leaf && compare(s.path, from) >= 0:
		return Present, s.path
	case s.kind != inner:
		return Absent, Path{}
	case s.child == nil:
		return Missing, higher(prefix, from)
	}
	s.child.used = t.clock
	for i := range s.child.slots {
		below := prefix.with(depth, i)
		if compare(below, from.cut(depth+1)) < 0 {
			continue // all of it stands before
		}
		if sight, p := t.next(&s.child.slots[i], from, below, depth+1); sight != Absent {
			return sight, p
		}
	}
	return Absent, Path{}
}

func higher(a, b Path) Path {
	if compare(a, b) < 0 {
		return b
	}
	return a
}
