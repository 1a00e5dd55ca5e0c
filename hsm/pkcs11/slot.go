package pkcs11

import (
	"encoding/binary"

	"strongroom/vault/hal"
)

// The durable memory is two data objects, written in turn, so that a torn
// write leaves the other whole. The value of one is
//
//	sequence (8) | data | HMAC-SHA256 (32)
//
// and a single zero byte where nothing was ever written.
const (
	slotsCount = 2
	slotHeader = 8
)

var slotEmpty = []byte{0}

// memorySlot is one object as it was read.
type memorySlot struct {
	empty    bool   // never written
	sequence uint64 // 0: torn, or not ours
	data     []byte
}

func slotBody(sequence uint64, data []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, sequence), data...)
}

// slotInput is what the HMAC is over.
func slotInput(body []byte) []byte { return append([]byte(memoryLabel), body...) }

// parseSlot reads the value of object number at; valid says whether a body has
// this sum. A value in the other's place is not valid.
func parseSlot(at int, value []byte, valid func(body, sum []byte) (bool, error)) (memorySlot, error) {
	if len(value) == 1 && value[0] == slotEmpty[0] {
		return memorySlot{empty: true}, nil
	}
	if len(value) < slotHeader+macBytes || len(value) > slotHeader+hal.MemoryBytes+macBytes {
		return memorySlot{}, nil
	}
	body, sum := value[:len(value)-macBytes], value[len(value)-macBytes:]
	sequence := binary.BigEndian.Uint64(body)
	if sequence == 0 || sequence%slotsCount != uint64(at) {
		return memorySlot{}, nil
	}
	ok, err := valid(body, sum)
	if err != nil || !ok {
		return memorySlot{}, err
	}
	return memorySlot{sequence: sequence, data: append([]byte{}, body[slotHeader:]...)}, nil
}

// newest is the last whole write: nil data and 0 before the first. One torn
// slot beside an empty one is a first write that did not end.
func newest(slots [slotsCount]memorySlot) (data []byte, sequence uint64, err error) {
	torn := 0
	for _, s := range slots {
		if s.sequence > sequence {
			data, sequence = s.data, s.sequence
		}
		if s.sequence == 0 && !s.empty {
			torn++
		}
	}
	if torn == slotsCount {
		return nil, 0, hal.ErrTorn
	}
	return data, sequence, nil
}
