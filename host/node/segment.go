package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A segment is one file of the log: a header, then frames. It is named after
// the first index that it holds, in 16 hexadecimal digits.
//
//	magic  8 bytes  "SRMLOG" 0 1
//	first  uint64   little-endian
const (
	segmentHeaderBytes = 16
	segmentMagic       = "SRMLOG\x00\x01"
)

// segment is a segment as it was read.
type segment struct {
	name  string
	first uint64 // index of its first frame
	last  uint64 // index of its last frame, first-1 when it has none
	bytes int64  // header and whole frames
}

func segmentName(first uint64) string {
	return fmt.Sprintf("%016x%s", first, segmentSuffix)
}

func segmentFirst(name string) (uint64, error) {
	digits := strings.TrimSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || segmentName(first) != name {
		return 0, damaged(name, 0, "is not the name of a segment")
	}
	return first, nil
}

func segmentHeader(first uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte(segmentMagic), first)
}

// tail says how a segment ends.
type tail struct {
	segment
	torn    bool  // bytes after the last whole frame, of a batch that was never durable
	suspect int64 // where the last batch begins (0, with the header, for the first): its fsync may never have happened
}

// scanSegment checks a segment's bytes from the header to the end and hands
// every entry to each (which may be nil).
//
// Frames of one batch are written together and then made durable, so a crash
// can leave any part of the last batch and nothing else. A frame that does
// not parse is therefore the torn tail, unless a whole frame behind it says
// that this index had been durable before: then bytes were lost that had been
// acknowledged, and that is ErrDamaged, never a cut.
func scanSegment(name string, b []byte, each func(frame) bool) (tail, error) {
	first, err := segmentFirst(name)
	if err != nil {
		return tail{}, err
	}
	t := tail{segment: segment{name: name, first: first, last: first - 1}}
	if !bytes.HasPrefix(b, segmentHeader(first)) {
		// The header was durable before the first frame was written.
		if len(b) > segmentHeaderBytes {
			return tail{}, damaged(name, 0, "its header is damaged")
		}
		t.torn = true
		return t, nil
	}
	t.bytes = segmentHeaderBytes
	batch := first - 1 // the durable index that the current batch names
	for int(t.bytes) < len(b) {
		f, err := parseFrame(b[t.bytes:])
		if err != nil {
			t.torn = true
			return t, provedDurable(name, b, t.bytes, t.last+1)
		}
		if f.entry.Index != t.last+1 {
			return tail{}, damaged(name, t.bytes, fmt.Sprintf("entry %d stands where entry %d belongs", f.entry.Index, t.last+1))
		}
		if f.durable != batch {
			batch, t.suspect = f.durable, t.bytes
		}
		t.last = f.entry.Index
		t.bytes += int64(f.length)
		if each != nil && !each(f) {
			return t, nil
		}
	}
	return t, nil
}

// provedDurable looks behind a broken frame at offset for a whole one which
// says that missing had been durable before it was written.
func provedDurable(name string, b []byte, offset int64, missing uint64) error {
	for at := offset + 1; at <= int64(len(b))-frameHeaderBytes; at++ {
		rest := b[at:]
		// Cheap before the checksum, so that a long torn tail costs little.
		index, durable := binary.LittleEndian.Uint64(rest[8:]), binary.LittleEndian.Uint64(rest[16:])
		if durable < missing || index <= durable || index-missing > uint64(len(b)) {
			continue
		}
		if _, err := parseFrame(rest); err == nil {
			return damaged(name, offset, fmt.Sprintf("entry %d is broken, and it had been durable", missing))
		}
	}
	return nil
}
