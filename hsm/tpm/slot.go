package tpm

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"strongroom/vault/hal"
)

const (
	slotsCount = 2
	slotHeader = 10
	slotMAC    = sha256.Size
	slotBytes  = slotHeader + hal.MemoryBytes + slotMAC
	lengthNone = 0xffff // of the slot that Create writes: nothing was written yet
)

// slot is one whole slot.
type slot struct {
	sequence uint64
	data     []byte // nil: nothing was written yet
}

func (s slot) encode(key secret) []byte {
	n := len(s.data)
	if s.data == nil {
		n = lengthNone
	}
	b := binary.BigEndian.AppendUint64(nil, s.sequence)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, s.data...)
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
func parseSlot(key secret, place int, b []byte) (s slot, ok bool) {
	size, ok := slotSize(b)
	if !ok || size > len(b) {
		return s, false
	}
	body := b[:size-slotMAC]
	if !hmac.Equal(slotSum(key, body), b[len(body):size]) {
		return s, false
	}
	s.sequence = binary.BigEndian.Uint64(body)
	if binary.BigEndian.Uint16(body[8:]) != lengthNone {
		s.data = append([]byte{}, body[slotHeader:]...)
	}
	return s, int(s.sequence%slotsCount) == place && s.sequence > 0
}
