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
	runs, count, _, err := parseRuns(b, -1, pages)
	if err == nil && count != pages {
		err = fmt.Errorf("%w: runs", ErrMalformed)
	}
	return runs, err
}

// parseRuns decodes so many runs, -1 for all that there are, of at most limit
// pages; it gives their pages and what comes behind them.
func parseRuns(b []byte, most int, limit uint32) (runs []Run, pages uint32, rest []byte, err error) {
	next, left := uint64(1), uint64(limit)
	for len(runs) != most && (most >= 0 || len(b) > 0) {
		gap, n := uvarint(b)
		if n <= 0 {
			return nil, 0, nil, fmt.Errorf("%w: runs", ErrMalformed)
		}
		count, m := uvarint(b[n:])
		if m <= 0 || count == 0 || count > left || gap > 1<<32 || gap == 0 && len(runs) > 0 || next+gap+count > 1<<32 {
			return nil, 0, nil, fmt.Errorf("%w: runs", ErrMalformed)
		}
		runs = append(runs, Run{First: uint32(next + gap), Count: uint32(count)})
		next += gap + count
		left -= count
		b = b[n+m:]
	}
	return runs, limit - uint32(left), b, nil
}

// AppendGroupRuns encodes the runs of each group of a layer of differences: how
// many they are, and they, from page 1 on again.
func AppendGroupRuns(b []byte, groups [][]Run) []byte {
	for _, runs := range groups {
		b = AppendRuns(binary.AppendUvarint(b, uint64(len(runs))), runs)
	}
	return b
}

// ParseGroupRuns decodes what AppendGroupRuns wrote and proves each group's
// runs as ParseRuns does; they have exactly pages pages between them.
func ParseGroupRuns(b []byte, pages uint32) (groups [][]Run, err error) {
	left := pages
	for len(b) > 0 {
		n, used := uvarint(b)
		if used <= 0 || n == 0 || n > uint64(len(b)) {
			return nil, fmt.Errorf("%w: runs", ErrMalformed)
		}
		runs, count, rest, err := parseRuns(b[used:], int(n), left)
		if err != nil {
			return nil, err
		}
		groups, left, b = append(groups, runs), left-count, rest
	}
	if left != 0 {
		return nil, fmt.Errorf("%w: runs", ErrMalformed)
	}
	return groups, nil
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
