package node

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"strongroom/protocol/wire"
)

// A frame holds one entry. All integers are little-endian:
//
//	length   uint32  bytes of the entry, 1..EntryBytesMax
//	crc      uint32  CRC-32C of everything after it in this frame, and of length
//	index    uint64  the entry's index
//	durable  uint64  the last index that was on stable storage when this frame was written
//	bytes
//
// The checksum finds accidents, not attacks: the box seals and chains its
// entries itself and finds out whoever changes them.
const (
	frameHeaderBytes = 24

	// EntryBytesMax is the largest entry that the log takes.
	EntryBytesMax = 1 << 20
)

// errFrame says that no whole frame starts here.
var errFrame = errors.New("node: no whole frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is one parsed frame. entry.Bytes aliases what was parsed.
type frame struct {
	entry   wire.Entry
	durable uint64
	length  int // of the whole frame, in bytes
}

// appendFrame appends the frame of e to b.
func appendFrame(b []byte, e wire.Entry, durable uint64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Bytes)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, e.Index)
	b = binary.LittleEndian.AppendUint64(b, durable)
	b = append(b, e.Bytes...)
	binary.LittleEndian.PutUint32(b[start+4:], frameChecksum(b[start:]))
	return b
}

// parseFrame reads the frame at the start of b. It answers errFrame when
// there is none: too short, too long, a wrong checksum or an impossible index.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeaderBytes {
		return frame{}, errFrame
	}
	length := binary.LittleEndian.Uint32(b)
	index := binary.LittleEndian.Uint64(b[8:])
	durable := binary.LittleEndian.Uint64(b[16:])
	if length == 0 || length > EntryBytesMax || int(length) > len(b)-frameHeaderBytes {
		return frame{}, errFrame
	}
	if index == 0 || durable >= index {
		return frame{}, errFrame
	}
	whole := b[:frameHeaderBytes+int(length)]
	if binary.LittleEndian.Uint32(b[4:]) != frameChecksum(whole) {
		return frame{}, errFrame
	}
	return frame{
		entry:   wire.Entry{Index: index, Bytes: whole[frameHeaderBytes:]},
		durable: durable,
		length:  len(whole),
	}, nil
}

// frameChecksum is the CRC-32C over a whole frame without the checksum field.
func frameChecksum(whole []byte) uint32 {
	crc := crc32.Update(0, castagnoli, whole[:4])
	return crc32.Update(crc, castagnoli, whole[8:])
}
