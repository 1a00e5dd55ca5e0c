//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/hmac"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// readSlots reads both objects from the token each time: what another writer
// or a fault left there is seen, and no outcome has to be remembered. An
// object that is not there is a torn one: SoftHSM2 drops a file that it can
// not read.
func (s *session) readSlots() (slots [slotsCount]memorySlot, objects [slotsCount]object, err error) {
	valid := func(body, sum []byte) (bool, error) {
		want, err := s.sum(slotInput(body))
		return hmac.Equal(want, sum), err
	}
	for at := range slotsCount {
		objects[at], err = s.single(p11.CKO_DATA, memoryName(at))
		if isNoObject(err) {
			if err := s.present(); err != nil {
				return slots, objects, err
			}
			objects[at] = 0
			continue
		}
		if err != nil {
			return slots, objects, err
		}
		value, err := s.get(objects[at], p11.CKA_VALUE)
		if err != nil {
			return slots, objects, err
		}
		if slots[at], err = parseSlot(at, value, valid); err != nil {
			return slots, objects, err
		}
	}
	return slots, objects, nil
}

// ReadMemory gives what was last written.
func (h *HSM) ReadMemory() (data []byte, err error) {
	h.memory.Lock()
	defer h.memory.Unlock()
	err = h.use(func(s *session) error {
		slots, _, err := s.readSlots()
		if err != nil {
			return err
		}
		data, _, err = newest(slots)
		return err
	})
	return data, err
}

// WriteMemory replaces the older object. It is as durable as the token's store.
// Where its outcome is not known, the next reading says which of the two holds.
func (h *HSM) WriteMemory(p []byte) error {
	if len(p) > hal.MemoryBytes {
		return ErrTooLarge
	}
	h.memory.Lock()
	defer h.memory.Unlock()
	return h.use(func(s *session) error { return s.writeMemory(p) })
}

func (s *session) writeMemory(p []byte) error {
	slots, objects, err := s.readSlots()
	if err != nil {
		return err
	}
	_, sequence, err := newest(slots)
	if err != nil {
		return err
	}
	body := slotBody(sequence+1, p)
	sum, err := s.sum(slotInput(body))
	if err != nil {
		return err
	}
	at := int((sequence + 1) % slotsCount)
	// The value of a data object can not be changed in every token (SoftHSM2
	// answers CKR_ATTRIBUTE_READ_ONLY), so the older object makes place. The
	// newer one stands meanwhile.
	if objects[at] != 0 {
		if err := s.destroy(objects[at]); err != nil {
			return err
		}
	}
	_, err = s.create(dataObject(memoryName(at), append(body, sum...)))
	return err
}
