package seal

import (
	"github.com/klauspost/compress/zstd"
)

// SegmentBytesMax is the largest plaintext of a segment.
const SegmentBytesMax = 1 << 20

// StoredBytesMax is the largest stored form: the flag and the plaintext.
const StoredBytesMax = SegmentBytesMax + 1

// The stored form of a segment is a flag and bytes.
const (
	flagStored byte = 0 // the plaintext as it is
	flagZstd   byte = 1 // one zstd frame, RFC 8878
)

// savedMin is the part of a segment, one in savedMin, that zstd must save to
// be worth the time of unpacking.
const savedMin = 32

// Codec packs and unpacks segments. Safe for many goroutines.
type Codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// NewCodec makes a codec for at most workers calls at once.
func NewCodec(workers int) (*Codec, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(workers), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(SegmentBytesMax), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	// Attack: a small frame that unpacks to gigabytes. Stop: memory is
	// limited to what a segment may hold.
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(workers), zstd.WithDecoderMaxMemory(SegmentBytesMax),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &Codec{encoder: e, decoder: d}, nil
}

// Store appends the stored form of plaintext to dst; it is never longer than
// plaintext and its flag. dst must have room for it and must not overlap.
func (c *Codec) Store(dst, plaintext []byte) []byte {
	start := len(dst)
	dst = c.encoder.EncodeAll(plaintext, append(dst, flagZstd))
	if len(dst)-start-1 < len(plaintext)-len(plaintext)/savedMin {
		return dst
	}
	return append(append(dst[:start], flagStored), plaintext...)
}

// Plain gives the plaintext of a stored form, which must be raw bytes long.
// The result may lie in stored or in scratch. ErrStored.
func (c *Codec) Plain(scratch, stored []byte, raw int) ([]byte, error) {
	if len(stored) == 0 || raw > SegmentBytesMax {
		return nil, ErrStored
	}
	plain := stored[1:]
	switch stored[0] {
	case flagStored:
	case flagZstd:
		var err error
		if plain, err = c.decoder.DecodeAll(plain, scratch[:0]); err != nil {
			return nil, ErrStored
		}
	default:
		return nil, ErrStored
	}
	if len(plain) != raw {
		return nil, ErrStored
	}
	return plain, nil
}
