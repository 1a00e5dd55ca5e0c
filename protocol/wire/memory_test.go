package wire

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
)

// parserBytesMax is what a message from outside may have a parser allocate.
const parserBytesMax = 1 << 20

// TestParsersAllocateLittle: a message that promises much holds little, and
// costs no more than what it holds.
func TestParsersAllocateLittle(t *testing.T) {
	promise := func(major byte, n uint64) []byte { // RFC 8949 §3: a head of 9 bytes
		return binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, n)
	}
	inputs := [][]byte{bytes.Repeat([]byte{0x81}, RequestBytesMax), bytes.Repeat([]byte{0xa1}, RequestBytesMax), make([]byte, RequestBytesMax)}
	for major := range byte(8) {
		for _, n := range []uint64{1 << 20, 1 << 31, 1 << 32, 1 << 62, 1<<64 - 1} {
			for _, before := range [][]byte{nil, {0xa1, 1}, {0xa2, 1, 1, 2}, {0xa2, 1, 1, 3, 0xa1, 1}} {
				inputs = append(inputs, append(bytes.Clone(before), promise(major, n)...),
					append(append(bytes.Clone(before), promise(major, n)...), make([]byte, RequestBytesMax/2)...))
			}
		}
	}
	for _, kind := range []string{"first", "second", "answer", "alerts", "statement"} {
		for _, b := range inputs {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parse(kind, b)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > parserBytesMax {
				t.Errorf("%s: %d bytes allocated for %.20x of %d bytes", kind, n, b, len(b))
			}
			if err == nil {
				t.Errorf("%s: %.20x is taken", kind, b)
			}
		}
	}
	if len(inputs) < 300 {
		t.Errorf("only %d inputs", len(inputs))
	}
}
