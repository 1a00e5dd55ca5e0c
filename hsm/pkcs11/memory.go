//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/hmac"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// memoryStore is the pair's place in the token, for one call. Each Read asks the
// token anew: what another writer or a fault left there is seen.
type memoryStore struct {
	*session
	seen [slotsCount][]object // of each place, as Read last found them
}

// Read gives the object of a place. One that is not there is torn: SoftHSM2
// drops a file that it can not read. Of several, which two holders at once
// leave when one of them stops in the middle of it, the newest counts.
func (s *memoryStore) Read(place int) (raw []byte, err error) {
	if s.seen[place], err = s.find(labelled(p11.CKO_DATA, memoryName(place))); err != nil {
		return nil, err
	}
	if len(s.seen[place]) == 0 {
		return nil, s.present()
	}
	var newest uint64
	for _, o := range s.seen[place] {
		value, err := s.get(o, p11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		if len(s.seen[place]) == 1 {
			return value, nil
		}
		slot, whole, err := s.Parse(place, value)
		switch {
		case err != nil:
			return nil, err
		case whole && slot.Sequence > newest:
			raw, newest = value, slot.Sequence
		case whole && slot.Sequence == newest:
			return nil, fmt.Errorf("%w: two holders of this token wrote it at once, and one of them stopped before it took its own back", hal.ErrTorn)
		}
	}
	return raw, nil
}

// Write replaces what Read saw. The value of a data object can not be changed
// in every token (SoftHSM2 answers CKR_ATTRIBUTE_READ_ONLY), so the older
// object makes place; the newer one stands meanwhile.
//
// Two holders who looked at the same time both make an object, for neither
// makes the other's go away, and whichever looks second sees two: so never both
// believe that they wrote, as long as the token shows an object to every
// session when the call that made it has returned. Where there is an older
// object, its destruction lets only one of them pass already, in a token that
// says to the second that it is gone; SoftHSM2 does.
func (s *memoryStore) Write(place int, raw []byte) error {
	for _, o := range s.seen[place] {
		if err := s.destroy(o); err != nil {
			return err
		}
	}
	made, err := s.createCopied(memoryName(place), raw)
	if err != nil {
		return err
	}
	now, err := s.find(labelled(p11.CKO_DATA, memoryName(place)))
	if err != nil {
		return err
	}
	if len(now) != 1 || now[0] != made {
		return first(s.destroy(made), hal.ErrTaken)
	}
	return nil
}

// createCopied makes a data object in the session, and copies it into the
// token: PKCS#11 v2.40 §4.4 lets CKA_TOKEN and CKA_MODIFIABLE change in a copy.
// SoftHSM2 writes, and waits for, the file of a new object of the token at each
// attribute that it sets by default; a copy costs it a quarter. A token that
// copies no data objects says so before it makes anything.
func (s *session) createCopied(label string, value []byte) (made object, err error) {
	draft, err := s.create(append(dataObject(label, value), drafted...))
	if err == nil {
		made, err = s.copy(draft, lasting)
		err = first(err, s.destroy(draft))
	}
	if isCode(err, noCopyCodes...) {
		return s.create(append(dataObject(label, value), lasting...))
	}
	return made, err
}

// noCopyCodes: the token does not do that. It made nothing.
var noCopyCodes = []p11.Error{
	p11.CKR_FUNCTION_NOT_SUPPORTED, p11.CKR_ATTRIBUTE_READ_ONLY, p11.CKR_ATTRIBUTE_TYPE_INVALID,
	p11.CKR_ATTRIBUTE_VALUE_INVALID, p11.CKR_TEMPLATE_INCOMPLETE, p11.CKR_TEMPLATE_INCONSISTENT,
}

// Encode gives a slot with its sum.
func (s *memoryStore) Encode(slot pair.Slot) ([]byte, error) {
	body := slotBody(slot)
	sum, err := s.sum(slotInput(body))
	return append(body, sum...), err
}

// Parse undoes it.
func (s *memoryStore) Parse(place int, raw []byte) (pair.Slot, bool, error) {
	return parseSlot(place, raw, func(body, sum []byte) (bool, error) {
		want, err := s.sum(slotInput(body))
		return hmac.Equal(want, sum), err
	})
}

// ReadMemory gives what was last written.
func (h *HSM) ReadMemory() (data []byte, err error) {
	h.writing.Lock()
	defer h.writing.Unlock()
	err = h.use(func(s *session) error {
		data, err = h.memory.Load(&memoryStore{session: s})
		return err
	})
	return data, err
}

// WriteMemory replaces the older object. It is as durable as the token's store.
// Where its outcome is not known, the next call looks which of the two holds.
func (h *HSM) WriteMemory(p []byte) error {
	if len(p) > hal.MemoryBytes {
		return ErrTooLarge
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	w := pair.Write{Data: p}
	return h.use(func(s *session) error { return w.Run(&h.memory, &memoryStore{session: s}) })
}
