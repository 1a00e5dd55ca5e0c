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
