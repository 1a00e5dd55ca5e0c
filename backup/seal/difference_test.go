package seal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestDifference(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{5})
	base := make([]byte, 64*4096)
	rnd.Read(base)
	page := append(append(append([]byte(nil), base[5000:]...), "a new cell"...), base[:4990]...) // moved, and one cell more
	d, err := Difference(base, page)
	if err != nil || d == nil || len(d) > 200 {
		t.Fatal(len(d), err)
	}
	if again, err := Patch(base, d, len(page)); err != nil || !bytes.Equal(again, page) {
		t.Fatal("not what it was made of", err)
	}
	for _, raw := range []int{len(page) - 1, len(page) + 1, SegmentBytesMax + 1} {
		if _, err := Patch(base, d, raw); !errors.Is(err, ErrStored) {
			t.Error("as", raw, "bytes:", err)
		}
	}
	base[9000]++
	if again, err := Patch(base, d, len(page)); err == nil && bytes.Equal(again, page) {
		t.Error("it leans on nothing")
	}
	other := make([]byte, len(page))
	rnd.Read(other)
	if d, err := Difference(base, other); err != nil || d != nil {
		t.Error("a difference of pages that have nothing in common:", len(d), err)
	}
	empty, err := Difference(nil, bytes.Repeat([]byte("ab"), 9000))
	if again, patch := Patch(nil, empty, 18000); err != nil || patch != nil || len(again) != 18000 {
		t.Error("of nothing:", err, patch)
	}
}

// Attack: a difference that unpacks to far more than a segment.
func TestPatchIsBounded(t *testing.T) {
	zeros := make([]byte, SegmentBytesMax)
	d, err := Difference(zeros[:4096], zeros)
	if err != nil || d == nil {
		t.Fatal(err)
	}
	if _, err := Patch(zeros[:4096], append(append([]byte(nil), d...), d...), SegmentBytesMax); !errors.Is(err, ErrStored) {
		t.Fatal("two frames, 2 MiB:", err)
	}
}

func FuzzPatch(f *testing.F) {
	base := bytes.Repeat([]byte("strongroom"), 40)
	d, err := Difference(base, append([]byte("a"), base...))
	if err != nil || d == nil {
		f.Fatal(err)
	}
	f.Add(base, d, 401)
	f.Fuzz(func(t *testing.T, base, d []byte, raw int) {
		if page, err := Patch(base, d, max(raw, 0)); err == nil && len(page) != max(raw, 0) {
			t.Fatal(len(page), "bytes instead of", raw)
		}
	})
}
