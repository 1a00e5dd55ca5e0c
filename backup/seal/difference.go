package seal

import (
	"bytes"

	"github.com/klauspost/compress/zstd"
)

// Difference gives what page says beyond base: one zstd frame (RFC 8878)
// whose dictionary is base, as content only (section 5) and without an id.
// Nil where that is not worth it, or does not come back. Both are at most
// SegmentBytesMax bytes.
func Difference(base, page []byte) ([]byte, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(2*SegmentBytesMax), zstd.WithLowerEncoderMem(true), zstd.WithEncoderDictRaw(0, base))
	if err != nil {
		return nil, err
	}
	d := e.EncodeAll(page, nil)
	if len(d) >= len(page)/differenceMin {
		return nil, nil
	}
	// What is not opened again is not known to be one.
	if again, err := Patch(base, d, len(page)); err != nil || !bytes.Equal(again, page) {
		return nil, nil
	}
	return d, nil
}

// differenceMin is how many times smaller than its pages a difference must be
// to be worth what it leans on.
const differenceMin = 3

// Patch gives the page, raw bytes long, that Difference made d of. ErrStored
// for what is none.
func Patch(base, d []byte, raw int) ([]byte, error) {
	if raw > SegmentBytesMax || len(base) > SegmentBytesMax {
		return nil, ErrStored
	}
	// Attack: a small frame that unpacks to gigabytes. Stop: memory is
	// limited to what a segment may hold.
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(SegmentBytesMax), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderDictRaw(0, base))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	page, err := r.DecodeAll(d, make([]byte, 0, raw))
	if err != nil || len(page) != raw {
		return nil, ErrStored
	}
	return page, nil
}
