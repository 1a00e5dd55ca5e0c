package pack

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"strongroom/store"
)

// benchBytes is what one round of a benchmark writes or reads.
const benchBytes = 128 << 20

// media is data that can not be compressed, text data that can.
func benchData(text bool) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 1))
	var out [][]byte
	for range benchBytes / SegmentBytesMax {
		b := make([]byte, SegmentBytesMax)
		for i := 0; i < len(b); i += 8 {
			x := rnd.Uint64()
			if text && i%64 >= 24 {
				x = 0x2020202020202020
			}
			binary.LittleEndian.PutUint64(b[i:], x)
		}
		out = append(out, b)
	}
	return out
}

// nowhere takes every object and keeps the few that are no packs.
type nowhere struct{ *memory }

func (n nowhere) Put(ctx context.Context, name string, data []byte) error {
	if name[:2] == prefixPack {
		return nil
	}
	return n.memory.Put(ctx, name, data)
}

func benchWrite(b *testing.B, st store.Store, data [][]byte) (*Repo, []ID) {
	r, err := Create(b.Context(), st, testKey)
	if err != nil {
		b.Fatal(err)
	}
	w := r.NewWriter(b.Context())
	var ids []ID
	for _, x := range data {
		id := r.SegmentID(KindFile, x)
		if _, err := w.Add(KindFile, id, x); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := w.Finish(); err != nil {
		b.Fatal(err)
	}
	return r, ids
}

func BenchmarkWriter(b *testing.B) {
	for name, text := range map[string]bool{"media": false, "text": true} {
		data := benchData(text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchBytes)
			b.ReportAllocs()
			for b.Loop() {
				benchWrite(b, nowhere{newMemory()}, data)
			}
		})
	}
}

func BenchmarkReadAll(b *testing.B) {
	for name, text := range map[string]bool{"media": false, "text": true} {
		r, ids := benchWrite(b, newMemory(), benchData(text))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				if err := r.ReadAll(b.Context(), ids, func(ID, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
