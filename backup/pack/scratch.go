package pack

import (
	"sync"

	"strongroom/backup/seal"
)

// storeSlack is what zstd may write beyond the plaintext before it is found
// not worth it, so that this memory need not grow.
const storeSlack = 4 << 10

// scratch is memory for one segment, used again and again.
type scratch struct{ bytes []byte }

// Two kinds of scratch: for a stored form and for a plaintext. They are apart
// since who packs segments needs only the first.
var (
	storedScratch = scratchPool(seal.StoredBytesMax + storeSlack)
	plainScratch  = scratchPool(SegmentBytesMax)
)

func scratchPool(room int) *sync.Pool {
	return &sync.Pool{New: func() any { return &scratch{bytes: make([]byte, 0, room)} }}
}
