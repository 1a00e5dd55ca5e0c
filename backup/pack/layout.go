package pack

import (
	"encoding/binary"
	"fmt"

	"strongroom/backup/seal"
)

// A pack is
//
//	frame | sealed segments, back to back | sealed padding | sealed table | sealed trailer
//
// Every byte after the frame lies in some sealed part, the padding too.

// sizes are what a writer makes; a reader takes whatever the format allows.
type sizes struct {
	pack    int // largest whole pack, in bytes
	buffers int // packs in memory at once: open, being sealed, being sent
	workers int // packs being sealed and sent at once
}

var defaultSizes = sizes{pack: packBytesMax, buffers: 5, workers: 2}

const (
	packBytesMax    = 6 << 20 // of the format's 8 MiB: five of them are in memory at once
	trailerBody     = 16
	trailerBytes    = trailerBody + seal.TagBytes
	partBytesMin    = seal.TagBytes
	tableEntryBytes = 48 // at most, in the table's encoding
	tableExtra      = 16 // around the entries
	tableVersion    = 1
	tableBytesMax   = 4 << 20 // a sealed table that a reader takes
)

// segment is one entry of a table: where the sealed segment lies follows
// from those before it.
type segment struct {
	_      struct{} `cbor:",toarray"`
	ID     ID
	Kind   Kind
	Raw    uint32 // plaintext, bytes
	Sealed uint32 // in the pack, tag included, bytes
}

// table is the sealed list of what a pack holds.
type table struct {
	Version  uint8     `cbor:"1,keyasint"`
	Segments []segment `cbor:"2,keyasint"`
}

// trailer tells where the table is. It is the pack's last trailerBytes.
type trailer struct {
	table, tableBytes, segments, pack uint32
}

func (t trailer) bytes() []byte {
	b := make([]byte, 0, trailerBody)
	for _, x := range []uint32{t.table, t.tableBytes, t.segments, t.pack} {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func parseTrailer(b []byte, packBytes int64) (t trailer, err error) {
	if len(b) != trailerBody {
		return t, fmt.Errorf("%w: trailer", ErrMalformed)
	}
	for i, p := range []*uint32{&t.table, &t.tableBytes, &t.segments, &t.pack} {
		*p = binary.BigEndian.Uint32(b[4*i:])
	}
	end := int64(t.table) + int64(t.tableBytes) + trailerBytes
	if int64(t.pack) != packBytes || end != packBytes || t.tableBytes > tableBytesMax {
		return t, fmt.Errorf("%w: trailer", ErrMalformed)
	}
	return t, nil
}

// parseTable decodes a table and proves that its segments fit before end,
// back to back from the frame on, leaving room for the padding's tag.
func parseTable(b []byte, t trailer) ([]segment, error) {
	var tab table
	if err := decodeVersion(b, tableVersion, &tab); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	if len(tab.Segments) != int(t.segments) {
		return nil, fmt.Errorf("%w: table", ErrMalformed)
	}
	if end, err := endOf(tab.Segments); err != nil || end+partBytesMin > int64(t.table) {
		return nil, fmt.Errorf("%w: table", ErrMalformed)
	}
	return tab.Segments, nil
}

// endOf is the offset after the last segment.
func endOf(segments []segment) (int64, error) {
	at := int64(seal.FrameBytes)
	for _, s := range segments {
		if s.Sealed < seal.TagBytes+1 || s.Sealed > seal.StoredBytesMax+seal.TagBytes || s.Raw > SegmentBytesMax || s.Kind == 0 {
			return 0, fmt.Errorf("%w: segment", ErrMalformed)
		}
		at += int64(s.Sealed)
	}
	if at > 1<<31 {
		return 0, fmt.Errorf("%w: segments", ErrMalformed)
	}
	return at, nil
}

// tableRoom is how much room n segments need after them at most.
func tableRoom(n int) int {
	return partBytesMin + n*tableEntryBytes + tableExtra + seal.TagBytes + trailerBytes
}
