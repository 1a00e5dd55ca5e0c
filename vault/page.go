package vault

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/protocol/wire"
	"strongroom/vault/internal/tree"
)

// The names of pages: a letter, and what tells one from the other. All that
// they tell the host is how many records there are, and which of them are used.
// A tree that came from another box as a whole is of another generation than
// the one whose place it takes.
const (
	keyNode       = 'n' // a node of the record tree, by its place
	keyRecord     = 'r' // a record, by its path
	keyCheckpoint = 'c' // the one checkpoint

	keyLaterNode   = 'N' // the same, of a later generation than the first: its number comes before the place
	keyLaterRecord = 'R'
)

// errAnswer: the node answered a read with more or fewer pages than were asked
// for.
var errAnswer = errors.New("vault: the node's answer does not belong to what it was asked")

func nodeKey(generation uint32, k []byte) []byte {
	return append(prefix(generation, keyNode, keyLaterNode), k...)
}

func recordKey(generation uint32, p tree.Path) []byte {
	return append(prefix(generation, keyRecord, keyLaterRecord), p[:]...)
}

func prefix(generation uint32, first, later byte) []byte {
	if generation == 0 {
		return []byte{first}
	}
	return binary.BigEndian.AppendUint32([]byte{later}, generation)
}

// prefixes are those of all pages of a generation.
func prefixes(generation uint32) [][]byte {
	return [][]byte{prefix(generation, keyNode, keyLaterNode), prefix(generation, keyRecord, keyLaterRecord)}
}

func checkpointKey() []byte { return []byte{keyCheckpoint} }
func recordLabel(f wire.FleetID, p tree.Path) string {
	return fmt.Sprintf("strongroom/v1/record %x %x", f, p)
}

// reading is a read that the host has not answered.
type reading struct {
	path   tree.Path
	keys   [][]byte
	nodes  [][]byte // of the tree, the first of the keys
	record bool     // the last key is the record's
	then   func(page []byte)
}

// read asks the host for the nodes that the tree lacks towards p, and for the
// record there. When they are grafted it goes on, with the record's page.
func (v *Vault) read(p tree.Path, record bool, then func(page []byte)) {
	r := reading{path: p, record: record, then: then}
	r.nodes = v.tree.Wanted(p)
	for _, k := range r.nodes {
		r.keys = append(r.keys, nodeKey(v.generation, k))
	}
	if record {
		r.keys = append(r.keys, recordKey(v.generation, p))
	}
	v.lastRead++
	v.reads[v.lastRead] = r
	v.out.Reads = append(v.out.Reads, wire.Read{ID: v.lastRead, Keys: r.keys})
}

// found takes the host's answer.
func (v *Vault) found(f wire.Found) {
	r, asked := v.reads[f.ID]
	if !asked {
		return // nothing hangs on it
	}
	delete(v.reads, f.ID)
	if len(f.Values) != len(r.keys) {
		v.fail(errAnswer)
		return
	}
	var pages []tree.Page
	var page []byte
	for i, key := range r.nodes {
		pages = append(pages, tree.Page{Key: key, Bytes: f.Values[i]})
	}
	if r.record {
		page = f.Values[len(f.Values)-1]
	}
	if err := v.tree.Graft(r.path, pages); err != nil {
		v.fail(err)
		return
	}
	r.then(page)
}
