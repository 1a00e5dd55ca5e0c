package pkcs11

import (
	"encoding/binary"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// The durable memory is two data objects, written in turn, so that a torn
// write leaves the other whole. The value of one is
//
//	sequence (8) | data | HMAC-SHA256 (32)
//
// and a single zero byte where nothing was ever written.
const (
	slotsCount = pair.Places
	slotHeader = 8
)

var slotEmpty = []byte{0}

func slotBody(s pair.Slot) []byte {
	return append(binary.BigEndian.AppendUint64(nil, s.Sequence), s.Data...)
}

// slotInput is what the HMAC is over.
func slotInput(body []byte) []byte { return append([]byte(memoryLabel), body...) }

// parseSlot reads the value of object number at; valid says whether a body has
// this sum. A value in the other's place is not whole.
func parseSlot(at int, value []byte, valid func(body, sum []byte) (bool, error)) (s pair.Slot, whole bool, err error) {
	if len(value) == 1 && value[0] == slotEmpty[0] {
		return pair.Slot{}, true, nil
	}
	if len(value) < slotHeader+macBytes || len(value) > slotHeader+hal.MemoryBytes+macBytes {
		return pair.Slot{}, false, nil
	}
	body, sum := value[:len(value)-macBytes], value[len(value)-macBytes:]
	sequence := binary.BigEndian.Uint64(body)
	if sequence == 0 || sequence%slotsCount != uint64(at) {
		return pair.Slot{}, false, nil
	}
	ok, err := valid(body, sum)
	if err != nil || !ok {
		return pair.Slot{}, false, err
	}
	return pair.Slot{Sequence: sequence, Data: append([]byte{}, body[slotHeader:]...)}, true, nil
}
