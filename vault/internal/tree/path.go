package tree

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// PathBytes is the length of a path; it has two nibbles a byte.
const (
	PathBytes = 32
	depthMax  = 2 * PathBytes
)

// Path is where an account's record stands: a keyed hash of its name, so that
// the host, which sees it, can not tell whose it is.
type Path [PathBytes]byte

// nibble is the slot that the path takes in its node at a depth.
func (p Path) nibble(depth int) int {
	b := p[depth/2]
	if depth%2 == 0 {
		return int(b >> 4)
	}
	return int(b & 15)
}

// with is p with the nibble at a depth set.
func (p Path) with(depth, nibble int) Path {
	if depth < depthMax {
		shift := 4 * (1 - depth%2)
		p[depth/2] = p[depth/2]&^(15<<shift) | byte(nibble<<shift)
	}
	return p
}

// cut is p with zeros from a depth on.
func (p Path) cut(depth int) Path {
	clear(p[(depth+1)/2:])
	if depth%2 == 1 {
		p[depth/2] &= 0xf0
	}
	return p
}

// successor is the path after p; last when there is none.
func (p Path) successor() (next Path, last bool) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i]++; p[i] != 0 {
			return p, false
		}
	}
	return p, true
}

func compare(a, b Path) int { return bytes.Compare(a[:], b[:]) }

// MAC is the keyed hash of a record's plaintext at its path. Sealing the
// record again, under another key, does not change it.
type MAC [sha256.Size]byte

// Hasher makes paths and MACs under keys that are the island's for ever. It
// refuses to print.
type Hasher struct{ path, leaf [32]byte }

func (*Hasher) String() string   { return "tree.Hasher(hidden)" }
func (*Hasher) GoString() string { return "tree.Hasher(hidden)" }

// NewHasher derives both keys from a secret of at least 32 bytes (HKDF-Expand
// and HMAC: RFC 5869, RFC 2104).
func NewHasher(secret []byte) (*Hasher, error) {
	h := new(Hasher)
	for label, key := range map[string]*[32]byte{"strongroom/v1/tree/path": &h.path, "strongroom/v1/tree/leaf": &h.leaf} {
		k, err := hkdf.Expand(sha256.New, secret, label, len(key))
		if err != nil {
			return nil, err
		}
		copy(key[:], k)
	}
	return h, nil
}

// Path is the place of an account.
func (h *Hasher) Path(account string) (p Path) {
	m := hmac.New(sha256.New, h.path[:])
	m.Write([]byte(account))
	m.Sum(p[:0])
	return p
}

// MAC is what the leaf at p holds for a record's plaintext. The host sees it:
// keyed, so that it can not try plaintexts.
func (h *Hasher) MAC(p Path, plaintext []byte) (mac MAC) {
	m := hmac.New(sha256.New, h.leaf[:])
	m.Write(p[:])
	m.Write(plaintext)
	m.Sum(mac[:0])
	return mac
}
