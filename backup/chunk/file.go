// Package chunk cuts what scan found into segments: files at fixed places,
// databases by page. It sees plaintext, does no I/O but its spool file, and
// knows nothing of keys: ids and hashes are handed to it.
package chunk

import (
	"errors"
	"io"

	"strongroom/backup/pack"
)

// FileBytes is the size of every segment of a file but the last. Cuts at
// fixed places tell an attacker who can choose files nothing (eprint
// 2025/532 on cuts that depend on content), and media do not shift.
const FileBytes = pack.SegmentBytesMax

// Zeros is the segment that a hole of FileBytes is.
var Zeros = make([]byte, FileBytes)

// Holed is a file with holes: SkipHole tells whether the next n bytes are one,
// and goes on behind it if so.
type Holed interface {
	io.Reader
	SkipHole(n int64) bool
}

// File reads r to its end and gives its segments in order. buf has FileBytes
// bytes and is used again for each; the last segment may be shorter, an empty
// file has none.
func File(r io.Reader, buf []byte, segment func([]byte) error) (total int64, err error) {
	for {
		n, err := io.ReadFull(r, buf[:FileBytes])
		if n > 0 {
			total += int64(n)
			if err := segment(buf[:n]); err != nil {
				return total, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// SparseFile is File for a file of size bytes: whole segments that are holes
// are not read, but given as Zeros. What lies behind size is read as well.
func SparseFile(r Holed, size int64, buf []byte, segment func([]byte) error) (total int64, err error) {
	for total+FileBytes <= size {
		b := Zeros
		if !r.SkipHole(FileBytes) {
			b = buf[:FileBytes]
			if n, err := io.ReadFull(r, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				b = b[:n] // it shrank: who looks at its size again sees that
			} else if err != nil {
				return total, err
			}
		}
		if len(b) > 0 {
			total += int64(len(b))
			if err := segment(b); err != nil {
				return total, err
			}
		}
		if len(b) < FileBytes {
			return total, nil
		}
	}
	more, err := File(r, buf, segment)
	return total + more, err
}
