package pack

import (
	"sync"

	"strongroom/backup/seal"
)

// storeSlack is what zstd may write beyond the plaintext before it is found
// not worth it, so that this memory need not grow.
const storeSlack = 4 << 10

// scratch is the memory in which one segment is opened and unpacked.
type scratch struct {
	stored []byte
	plain  []byte
}

var scratches = sync.Pool{New: func() any {
	return &scratch{stored: make([]byte, 0, seal.StoredBytesMax+storeSlack), plain: make([]byte, 0, SegmentBytesMax)}
}}
