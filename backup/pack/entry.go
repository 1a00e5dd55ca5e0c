package pack

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"strongroom/backup/seal"
)

// EntryKind says what an entry of a snapshot is.
type EntryKind uint8

// Kinds of entries. Others are reserved.
const (
	EntryDir      EntryKind = 1
	EntryFile     EntryKind = 2
	EntrySymlink  EntryKind = 3
	EntryDatabase EntryKind = 4 // a SQLite database, by page
)

// Entry is one thing in a snapshot.
type Entry struct {
	Kind     EntryKind `cbor:"1,keyasint"`
	Root     uint32    `cbor:"2,keyasint"` // which of the manifest's roots
	Path     string    `cbor:"3,keyasint"` // below the root, slash-separated; "" is the root itself
	Mode     uint32    `cbor:"4,keyasint"` // Unix permission bits
	ModNanos int64     `cbor:"5,keyasint"` // Unix time, nanoseconds
	Size     int64     `cbor:"6,keyasint"` // bytes, of files and databases
	Link     string    `cbor:"7,keyasint,omitempty"`
	Content  *Refs     `cbor:"8,keyasint,omitempty"` // of a file: KindFile
	Database *Database `cbor:"9,keyasint,omitempty"`
	// Attributes ascend by name; of files, databases and folders.
	Attributes []Attribute `cbor:"10,keyasint,omitempty"`
	// Same is one number, not 0, for the files of a snapshot that are one file
	// with several names (hard links); all of them have its content.
	Same uint64 `cbor:"11,keyasint,omitempty"`
}

// Attribute is an extended attribute.
type Attribute struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Value []byte
}

// Refs is a list of segments: the ids themselves, or, where they are more
// than refsDirectMax, segments of KindRefs that hold the ids back to back.
// Exactly one is set, both empty for no segment.
type Refs struct {
	_      struct{} `cbor:",toarray"`
	Direct []ID
	Lists  []ID
}

const (
	refsDirectMax = 64
	refsListMax   = SegmentBytesMax / seal.IDBytes // ids in one segment of KindRefs
)

// Database is the pages of a SQLite database: 1..Pages, PageBytes each. A
// page is what the newest layer that has it says; pages above Pages are left
// out. A page that no layer has is zeros, which is right only for SQLite's
// lock page (the one with byte 2^30).
type Database struct {
	PageBytes uint32  `cbor:"1,keyasint"`
	Pages     uint32  `cbor:"2,keyasint"`
	Layers    []Layer `cbor:"3,keyasint"` // oldest first
}

// Codings of a layer's pages.
const (
	CodingWhole      = 0 // whole pages
	CodingDifference = 1 // differences against the layers below
)

// Layer is a set of pages. Groups hold them in the order of the runs: each
// segment of KindPages is some whole pages back to back, or what seal.Difference
// says of some pages by their newest copies in the layers below, all back to back.
type Layer struct {
	Coding uint8  `cbor:"1,keyasint"`
	Pages  uint32 `cbor:"2,keyasint"` // in this layer
	Runs   Refs   `cbor:"3,keyasint"` // KindRuns, their plaintexts joined: of the layer, or of each group of differences
	Groups Refs   `cbor:"4,keyasint"` // KindPages
	Hashes Refs   `cbor:"5,keyasint"` // KindPageHash: PageHash of each page in order, joined
}

const layersMax = 1 << 10 // a reader takes; a writer makes far fewer

// UnknownEntry is an entry that this program can not restore: ErrUnknownKind
// where a newer program wrote it, else ErrMalformed. The others still are.
type UnknownEntry struct {
	Root  uint32
	Path  string
	What  string
	cause error
}

// Error names the entry.
func (e *UnknownEntry) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.What) }

// Unwrap gives ErrUnknownKind or ErrMalformed.
func (e *UnknownEntry) Unwrap() error { return e.cause }

// place of an entry: what any kind of entry has.
type entryPlace struct {
	Kind uint64 `cbor:"1,keyasint"`
	Root uint32 `cbor:"2,keyasint"`
	Path string `cbor:"3,keyasint"`
}

// appendEntry appends an entry as lists hold it: its length as uvarint, then
// its encoding.
func appendEntry(b []byte, e *Entry) []byte {
	body := encode(e)
	return append(binary.AppendUvarint(b, uint64(len(body))), body...)
}

// ParseList gives the entries of a list segment in order. An entry of a kind
// or coding that is not known, or with what its kind does not have, is given
// as an UnknownEntry instead.
func ParseList(b []byte, entry func(*Entry) error, unknown func(*UnknownEntry) error) error {
	for len(b) > 0 {
		n, used := uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return fmt.Errorf("%w: list", ErrMalformed)
		}
		body := b[used : used+int(n)]
		b = b[used+int(n):]
		e, u, err := parseEntry(body)
		switch {
		case err != nil:
		case u != nil:
			err = unknown(u)
		default:
			err = entry(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func parseEntry(b []byte) (*Entry, *UnknownEntry, error) {
	var p entryPlace
	if err := laxMode.Unmarshal(b, &p); err != nil {
		return nil, nil, fmt.Errorf("%w: entry: %v", ErrMalformed, err)
	}
	if p.Kind == 0 || p.Kind > uint64(EntryDatabase) {
		return nil, &UnknownEntry{p.Root, p.Path, fmt.Sprintf("entry of unknown kind %d", p.Kind), ErrUnknownKind}, nil
	}
	e := &Entry{}
	if err := decode(b, e); err != nil {
		return nil, &UnknownEntry{p.Root, p.Path, fmt.Sprintf("entry of kind %d: %v", p.Kind, err), ErrMalformed}, nil
	}
	if u := checkEntry(e); u != nil {
		return nil, u, nil
	}
	return e, nil, nil
}

// checkEntry proves that an entry has what its kind needs and no more.
func checkEntry(e *Entry) *UnknownEntry {
	fault := func(cause error, what string) *UnknownEntry { return &UnknownEntry{e.Root, e.Path, what, cause} }
	switch {
	case !goodPath(e.Path):
		return fault(ErrMalformed, "a path that leaves its root")
	case e.Same != 0 && e.Kind != EntryFile, len(e.Attributes) > 0 && e.Kind == EntrySymlink, !slices.IsSortedFunc(e.Attributes, byName):
		return fault(ErrMalformed, "not what its kind has")
	case e.Size < 0, (e.Content != nil) != (e.Kind == EntryFile), (e.Link != "") != (e.Kind == EntrySymlink),
		(e.Database != nil) != (e.Kind == EntryDatabase):
		return fault(ErrMalformed, "not what its kind has")
	case e.Database != nil:
		return checkDatabase(e, fault)
	}
	return nil
}

// byName puts a name before itself, so that one that stands twice is no order.
func byName(a, b Attribute) int { return cmp.Or(strings.Compare(a.Name, b.Name), -1) }

func checkDatabase(e *Entry, fault func(error, string) *UnknownEntry) *UnknownEntry {
	d := e.Database
	if d.PageBytes < 512 || d.PageBytes > 65536 || d.PageBytes&(d.PageBytes-1) != 0 || len(d.Layers) > layersMax ||
		e.Size != int64(d.PageBytes)*int64(d.Pages) {
		return fault(ErrMalformed, "a database of impossible size")
	}
	for _, l := range d.Layers {
		if l.Coding > CodingDifference {
			return fault(ErrUnknownKind, fmt.Sprintf("database with pages of unknown coding %d", l.Coding))
		}
	}
	return nil
}

// goodPath holds for paths that stay below their root. Attack: an entry
// named "../../.ssh/authorized_keys" in a manifest that another of the
// person's devices, taken over, wrote. Stop: no reader gives it out.
func goodPath(p string) bool {
	if p == "" {
		return true
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return !strings.Contains(p, "\x00")
}
