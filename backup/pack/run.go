package pack

import (
	"encoding/binary"
	"fmt"
)

// Run is count pages from First on; pages count from 1.
type Run struct {
	First, Count uint32
}

// AppendRuns encodes runs, which ascend and do not touch: for each the pages
// left out since the end of the run before (from page 1 for the first), then
// the count, as uvarints.
func AppendRuns(b []byte, runs []Run) []byte {
	next := uint32(1)
	for _, r := range runs {
		b = binary.AppendUvarint(b, uint64(r.First-next))
		b = binary.AppendUvarint(b, uint64(r.Count))
		next = r.First + r.Count
	}
	return b
}

// ParseRuns decodes what AppendRuns wrote and proves that the runs ascend,
// do not touch and hold exactly pages pages in all.
func ParseRuns(b []byte, pages uint32) ([]Run, error) {
	var runs []Run
	next, left := uint64(1), uint64(pages)
	for len(b) > 0 {
		gap, n := uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: runs", ErrMalformed)
		}
		count, m := uvarint(b[n:])
		if m <= 0 || count == 0 || count > left || gap > 1<<32 || gap == 0 && len(runs) > 0 || next+gap+count > 1<<32 {
			return nil, fmt.Errorf("%w: runs", ErrMalformed)
		}
		runs = append(runs, Run{First: uint32(next + gap), Count: uint32(count)})
		next += gap + count
		left -= count
		b = b[n+m:]
	}
	if left != 0 {
		return nil, fmt.Errorf("%w: runs", ErrMalformed)
	}
	return runs, nil
}

// uvarint is binary.Uvarint for the shortest form only: 0 bytes read where
// the number is cut, too long, or has a shorter form.
func uvarint(b []byte) (x uint64, n int) {
	x, n = binary.Uvarint(b)
	if n < 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return x, n
}
