package seal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
)

// Labels of HKDF, RFC 5869: one a purpose.
const (
	labelSeal   = "strongroom/v1/backup/seal"
	labelID     = "strongroom/v1/backup/id"
	labelPage   = "strongroom/v1/backup/page"
	labelCut    = "strongroom/v1/backup/cut"
	labelName   = "strongroom/v1/backup/name"
	labelHeader = "strongroom/v1/backup/header"
	labelCheck  = "strongroom/v1/backup/check"
	labelObject = "strongroom/v1/backup/object"
	labelPack   = "strongroom/v1/backup/pack"
)

// ID names a segment: BLAKE3 under a key from K, so that who sees a
// repository can not test for a known file.
type ID [IDBytes]byte

// Kind says what a segment holds. It is part of the id.
type Kind uint8

// Kinds of segments.
const (
	KindFile     Kind = 1 // a piece of a file
	KindPages    Kind = 2 // whole pages of a database
	KindPageHash Kind = 3 // keyed hashes of pages, 16 bytes each
	KindRuns     Kind = 4 // runs of page numbers
	KindList     Kind = 5 // file entries
	KindRefs     Kind = 6 // segment ids, 32 bytes each
)

// Keys are the keys of one repository. They refuse to print.
type Keys struct {
	repository [RepositoryBytes]byte
	seal       [KeyBytes]byte
	name       [KeyBytes]byte
	ids        *sync.Pool // of *blake3.Hasher keyed for ids
	pages      *sync.Pool // ... for page hashes
	cuts       *sync.Pool // ... for where lists are cut
}

// NewKeys derives the keys of the repository that the header names.
func NewKeys(key *[KeyBytes]byte, h *Header) *Keys {
	k := &Keys{repository: h.Repository}
	k.seal = purpose(key, h, labelSeal)
	k.name = purpose(key, h, labelName)
	k.ids = hashers(purpose(key, h, labelID))
	k.pages = hashers(purpose(key, h, labelPage))
	k.cuts = hashers(purpose(key, h, labelCut))
	return k
}

// purpose is HKDF-SHA256(K, the repository's salt, label || repository id).
func purpose(key *[KeyBytes]byte, h *Header, label string) (out [KeyBytes]byte) {
	b, err := hkdf.Key(sha256.New, key[:], h.Salt[:], label+string(h.Repository[:]), KeyBytes)
	if err != nil {
		panic(err) // only a length above 255 hashes can fail
	}
	copy(out[:], b)
	return out
}

func hashers(key [KeyBytes]byte) *sync.Pool {
	return &sync.Pool{New: func() any {
		h, err := blake3.NewKeyed(key[:])
		if err != nil {
			panic(err) // only a key of another length can fail
		}
		return h
	}}
}

// SegmentID is keyed BLAKE3-256 over plaintext || kind.
func (k *Keys) SegmentID(kind Kind, plaintext []byte) (id ID) {
	keyed(k.ids, id[:], plaintext, byte(kind))
	return id
}

// PageHash is keyed BLAKE3 over a page, cut to 16 bytes. It tells a changed
// page from an unchanged one at the same place, nothing else.
func (k *Keys) PageHash(page []byte) (sum [PageHashBytes]byte) {
	keyed(k.pages, sum[:], page)
	return sum
}

// Cut is a keyed number of a name: what decides where a list is cut, so that
// nobody outside can choose names that cut it where he likes.
func (k *Keys) Cut(name string) uint32 {
	var sum [4]byte
	keyed(k.cuts, sum[:], []byte(name))
	return binary.BigEndian.Uint32(sum[:])
}

func keyed(pool *sync.Pool, out, data []byte, last ...byte) {
	h := pool.Get().(*blake3.Hasher)
	h.Reset()
	h.Write(data)
	h.Write(last)
	h.Digest().Read(out)
	pool.Put(h)
}

// HeadName is the name of a device's head: HMAC-SHA256(device || sequence,
// 64-bit big-endian), cut to 16 bytes. Two devices that claim one identity
// meet at one name, and the storage's put-if-absent tells the second.
func (k *Keys) HeadName(device [16]byte, sequence uint64) (name [NameBytes]byte) {
	m := hmac.New(sha256.New, k.name[:])
	m.Write(device[:])
	m.Write(binary.BigEndian.AppendUint64(nil, sequence))
	copy(name[:], m.Sum(nil))
	return name
}

// String, GoString and Format do not print keys.
func (k *Keys) String() string { return "seal.Keys(redacted)" }

// GoString does not print keys.
func (k *Keys) GoString() string { return k.String() }

// Format does not print keys.
func (k *Keys) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }
