package alert

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Reader reads a spool's messages in order, also from another process while
// it grows. Not for several goroutines at once.
type Reader struct {
	dir    string
	next   uint64 // number of the message that comes next
	file   *os.File
	first  uint64 // of file
	offset int64
	missed uint64
}

// NewReader begins after message number after. The folder may not exist yet.
func NewReader(dir string, after uint64) *Reader { return &Reader{dir: dir, next: after + 1} }

// Missed counts messages that were gone before they were read.
func (r *Reader) Missed() uint64 { return r.missed }

// Next gives the next message that is there; false when there is none yet.
func (r *Reader) Next() (Message, bool, error) {
	for {
		if r.file == nil {
			if found, err := r.open(); err != nil || !found {
				return Message{}, false, err
			}
		}
		m, found, err := r.read()
		if err != nil {
			return Message{}, false, err
		}
		if !found {
			following, err := r.following()
			if err != nil || following == 0 {
				return Message{}, false, err
			}
			// This segment is written no more: what it held when the next one
			// began, it holds now.
			if m, found, err = r.read(); err != nil {
				return Message{}, false, err
			}
			if !found {
				r.close()
				r.skip(following)
				continue
			}
		}
		if m.Number < r.next {
			continue // read before
		}
		r.skip(m.Number)
		r.next++
		return m, true, nil
	}
}

// skip counts what lies between as missed.
func (r *Reader) skip(number uint64) {
	if number > r.next {
		r.missed += number - r.next
		r.next = number
	}
}

// open opens the segment that holds the next message, or the oldest after it.
func (r *Reader) open() (found bool, err error) {
	firsts, err := segmentsOf(r.dir)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	at := -1
	for i, first := range firsts {
		if first <= r.next || at < 0 {
			at = i
		}
	}
	if at < 0 {
		return false, nil
	}
	r.skip(firsts[at])
	f, err := os.Open(filepath.Join(r.dir, segmentName(firsts[at])))
	if gone(err) { // dropped meanwhile: the next look finds what is oldest then
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	r.file, r.first, r.offset = f, firsts[at], 0
	return true, nil
}

// read reads the frame at the offset, if it is whole.
func (r *Reader) read() (Message, bool, error) {
	b := make([]byte, frameBytesMax)
	n, err := r.file.ReadAt(b, r.offset)
	if err != nil && err != io.EOF {
		return Message{}, false, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	m, length, ok := parse(b[:n])
	if ok {
		r.offset += int64(length)
	}
	return m, ok, nil
}

// following is the first number of the segment after the open one, 0 for none.
func (r *Reader) following() (uint64, error) {
	firsts, err := segmentsOf(r.dir)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	for _, first := range firsts {
		if first > r.first {
			return first, nil
		}
	}
	return 0, nil
}

func (r *Reader) close() {
	if r.file != nil {
		_ = r.file.Close() // read only
		r.file = nil
	}
}

// Close ends the reading.
func (r *Reader) Close() { r.close() }
