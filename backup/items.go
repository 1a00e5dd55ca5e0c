package backup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"

	"strongroom/backup/scan"
)

// itemFile keeps what a walk found, in its order, until it is backed up: in
// an unnamed file of the state's folder, since of a million files it is more
// than a backup may hold. Written once, then read once.
type itemFile struct {
	f    *os.File
	out  *bufio.Writer
	in   *cbor.Decoder
	text bytes.Buffer
}

// storedItem is how an item is written. Its full path follows from the root.
type storedItem struct {
	_        struct{} `cbor:",toarray"`
	Root     uint32
	Rel      string
	Kind     scan.Kind
	Mode     uint32
	Link     string
	Links    uint64
	Sparse   bool
	Database bool
	Stat     scan.Stat
	Old      *seen
}

const itemsPrefix = "items-"

// newItemFile makes one in a folder, which must be on a disk with room.
func newItemFile(folder string) (*itemFile, error) {
	f, err := os.CreateTemp(folder, itemsPrefix+"*")
	if err != nil {
		return nil, local(ErrState, err)
	}
	os.Remove(f.Name()) // where that can not be done now, close does it
	return &itemFile{f: f, out: bufio.NewWriterSize(f, stateBufferBytes)}, nil
}

func (x *itemFile) add(it *item) error {
	x.text.Reset()
	err := cbor.MarshalToBuffer(storedItem{
		Root: it.root, Rel: it.Rel, Kind: it.Kind, Mode: it.Mode, Link: it.Link, Links: it.Links,
		Sparse: it.Sparse, Database: it.database, Stat: it.Stat, Old: it.old,
	}, &x.text)
	if err != nil {
		return err
	}
	_, err = x.out.Write(x.text.Bytes())
	return local(ErrState, err)
}

// rewind ends the writing.
func (x *itemFile) rewind() error {
	err := x.out.Flush()
	if err == nil {
		_, err = x.f.Seek(0, io.SeekStart)
	}
	x.out, x.in = nil, stateDecoding.NewDecoder(bufio.NewReaderSize(x.f, stateBufferBytes))
	return local(ErrState, err)
}

// next gives the next item, io.EOF at the end. roots are the full paths.
func (x *itemFile) next(roots []string) (*item, error) {
	var s storedItem
	if err := x.in.Decode(&s); err != nil {
		if !errors.Is(err, io.EOF) {
			err = local(ErrState, err)
		}
		return nil, err
	}
	it := &item{root: s.Root, database: s.Database, old: s.Old}
	it.Node = scan.Node{Rel: s.Rel, Kind: s.Kind, Mode: s.Mode, Link: s.Link, Links: s.Links, Sparse: s.Sparse, Stat: s.Stat}
	it.Full = filepath.Join(roots[s.Root], filepath.FromSlash(s.Rel))
	if filepath.Separator == '/' {
		it.Rel = it.Full[len(it.Full)-len(it.Rel):] // one string in memory, not two
	}
	return it, nil
}

func (x *itemFile) close() {
	x.f.Close()
	os.Remove(x.f.Name())
}
