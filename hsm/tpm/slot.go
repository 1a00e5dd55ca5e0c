package tpm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

const (
	slotsCount = pair.Places
	slotHeader = 10
	slotMAC    = sha256.Size
	slotBytes  = slotHeader + hal.MemoryBytes + slotMAC
	lengthNone = 0xffff // of the slot that Create writes: nothing was written yet
)

func encodeSlot(key secret, s pair.Slot) []byte {
	n := len(s.Data)
	if s.Data == nil {
		n = lengthNone
	}
	b := binary.BigEndian.AppendUint64(nil, s.Sequence)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, s.Data...)
	return append(b, slotSum(key, b)...)
}

func slotSum(key secret, body []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(body)
	return mac.Sum(nil)
}

// slotSize is how many bytes the slot has that begins with b, if it is one.
func slotSize(b []byte) (size int, ok bool) {
	if len(b) < slotHeader {
		return 0, false
	}
	n := int(binary.BigEndian.Uint16(b[8:]))
	if n == lengthNone {
		n = 0
	}
	return slotHeader + n + slotMAC, n <= hal.MemoryBytes
}

// parseSlot reads the slot at place 0 or 1. What follows it is of an older,
// longer one.
func parseSlot(key secret, place int, b []byte) (s pair.Slot, ok bool) {
	size, ok := slotSize(b)
	if !ok || size > len(b) {
		return s, false
	}
	body := b[:size-slotMAC]
	if !hmac.Equal(slotSum(key, body), b[len(body):size]) {
		return s, false
	}
	s.Sequence = binary.BigEndian.Uint64(body)
	if binary.BigEndian.Uint16(body[8:]) != lengthNone {
		s.Data = append([]byte{}, body[slotHeader:]...)
	}
	return s, int(s.Sequence%slotsCount) == place && s.Sequence > 0
}
