package pack

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is cut into requests is each segment once, in order; a request for a
// store that is near reads no more than it should, but for one larger segment.
func TestCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 9))
	for round := range 500 {
		var all []wanted
		at := uint32(0)
		for range 1 + rnd.IntN(40) {
			at += uint32(rnd.IntN(2)) * uint32(rnd.IntN(2*gapBytesMax))
			sealed := uint32(1 + rnd.IntN(SegmentBytesMax))
			all = append(all, wanted{at: place{offset: at, sealed: sealed}})
			at += sealed
		}
		most := []uint32{math.MaxUint32, nearSpanBytes}[round%2]
		shuffled := slices.Clone(all)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		spans := cut(&packInfo{}, shuffled, most)
		var got []wanted
		for i, s := range spans {
			first, last := s.segments[0].at, s.segments[len(s.segments)-1].at
			if s.start != first.offset || s.end != last.offset+last.sealed {
				t.Fatal("a span does not hold its segments")
			}
			if len(s.segments) > 1 && s.end-s.start > most {
				t.Fatalf("%d segments in %d bytes", len(s.segments), s.end-s.start)
			}
			if i > 0 && first.offset-spans[i-1].end <= gapBytesMax && last.offset+last.sealed-spans[i-1].start <= most {
				t.Fatal("two spans would have been one")
			}
			got = append(got, s.segments...)
		}
		if !slices.Equal(got, all) {
			t.Fatal("not each segment once")
		}
	}
}
