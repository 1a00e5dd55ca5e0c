package pack

import (
	"sync"

	"strongroom/backup/seal"
)

// scratch is the memory in which one segment is opened and unpacked.
type scratch struct {
	stored []byte
	plain  []byte
}

var scratches = sync.Pool{New: func() any {
	return &scratch{stored: make([]byte, 0, seal.StoredBytesMax), plain: make([]byte, 0, SegmentBytesMax)}
}}
