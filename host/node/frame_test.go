package node

import (
	"bytes"
	"errors"
	"testing"

	"strongroom/protocol/wire"
)

func FuzzFrame(f *testing.F) {
	whole := appendFrame(nil, wire.Entry{Index: 7, Bytes: []byte("sealed")}, 5)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFrame(b)
		if err != nil {
			return
		}
		if again := appendFrame(nil, got.entry, got.durable); !bytes.Equal(again, b[:got.length]) {
			t.Fatalf("%x was read, %x would be written", b[:got.length], again)
		}
	})
}

// Whatever a segment holds, reading it ends without a panic, entries follow
// one another, and what was kept reads the same again.
func FuzzSegment(f *testing.F) {
	image := segmentHeader(1)
	for i := uint64(1); i <= 3; i++ {
		image = appendFrame(image, wire.Entry{Index: i, Bytes: body(i)}, i-1)
	}
	f.Add(image)
	f.Add(image[:len(image)-3])
	f.Add(image[:segmentHeaderBytes])
	f.Add(image[:5])
	broken := bytes.Clone(image)
	broken[segmentHeaderBytes+frameHeaderBytes] ^= 1
	f.Add(broken)
	f.Fuzz(func(t *testing.T, b []byte) {
		next := uint64(1)
		got, err := scanSegment(segmentName(1), b, func(f frame) bool {
			if f.entry.Index != next {
				t.Fatalf("entry %d after %d", f.entry.Index, next-1)
			}
			next++
			return true
		})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		kept, err := scanSegment(segmentName(1), b[:got.bytes], nil)
		if got.bytes > 0 && (err != nil || kept.torn || kept.last != got.last) {
			t.Fatalf("kept %+v of %+v: %v", kept, got, err)
		}
	})
}
