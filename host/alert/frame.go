package alert

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"strongroom/protocol/wire"
)

// A segment is a file of frames, named after the number of its first message
// in 16 hexadecimal digits. A frame, all integers little-endian:
//
//	length  uint32  bytes of the message, 1..wire.AlertBytesMax
//	crc     uint32  CRC-32C of everything after it in this frame, and of length
//	number  uint64
//	index   uint64  wire.SealedAlerts.Index
//	bytes
//
// The checksum finds what a crash tore, not attacks: the message is sealed.
const (
	frameHeaderBytes = 24
	frameBytesMax    = frameHeaderBytes + wire.AlertBytesMax
	segmentSuffix    = ".alerts"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Message is a sealed message of the box. Numbers have no gaps but where
// messages were lost.
type Message struct {
	Number uint64
	Index  uint64
	Sealed []byte
}

func segmentName(first uint64) string { return fmt.Sprintf("%016x%s", first, segmentSuffix) }

func segmentFirst(name string) (uint64, bool) {
	first, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 16, 64)
	return first, err == nil && first > 0 && segmentName(first) == name
}

func frame(b []byte, m Message) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Sealed)))
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, m.Number)
	b = binary.LittleEndian.AppendUint64(b, m.Index)
	b = append(b, m.Sealed...)
	binary.LittleEndian.PutUint32(b[start+4:], checksum(b[start:]))
	return b
}

// parse reads the frame at the start of b; false when none is whole there.
func parse(b []byte) (m Message, length int, ok bool) {
	if len(b) < frameHeaderBytes {
		return m, 0, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > wire.AlertBytesMax || int(n) > len(b)-frameHeaderBytes {
		return m, 0, false
	}
	whole := b[:frameHeaderBytes+int(n)]
	if binary.LittleEndian.Uint32(b[4:]) != checksum(whole) {
		return m, 0, false
	}
	return Message{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), whole[frameHeaderBytes:]}, len(whole), true
}

func checksum(whole []byte) uint32 {
	crc := crc32.Update(0, castagnoli, whole[:4])
	return crc32.Update(crc, castagnoli, whole[8:])
}
