package wire

import (
	"bytes"
	"testing"
)

// BenchmarkFrame is one request's way over the pipe: written, read, checked.
func BenchmarkFrame(b *testing.B) {
	in := In{NowMillis: 1 << 40, Durable: 7, Requests: []Request{{1, make([]byte, 8<<10)}}}
	b.ReportAllocs()
	var buffer []byte
	for b.Loop() {
		var err error
		if buffer, err = AppendIn(buffer[:0], in); err != nil {
			b.Fatal(err)
		}
		if _, err := ReadMessage[In](bytes.NewReader(buffer)); err != nil {
			b.Fatal(err)
		}
	}
}
