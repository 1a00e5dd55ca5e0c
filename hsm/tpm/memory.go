package tpm

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// The durable memory: two NV indexes (TPM 2.0 Part 3 §31), written in turn, so
// that a torn write leaves the other whole. A slot is sequence (8) || length
// (2) || data || HMAC-SHA256 over all before it; only these bytes are written,
// so the vault's anchor costs one TPM2_NV_Write. The newest whole slot counts.
//
// No NV counter stands beside them. It would cost a second NV write each time
// and would stop nobody: the indexes are read and written only with a password
// derived from the sealed root (so not by other users of the TPM, nor by its
// owner), and whoever unseals the root himself can use the keys without any
// memory. The owner can remove the indexes; then, or when he makes others in
// their place, this answers hal.ErrTorn and never "nothing was written".

const (
	indexFirst  = 0x01805300
	indexLast   = 0x018053fe // of the first of a pair
	sequenceOne = 1
)

// nvPassword is the indexes' password, as text: go-tpm v0.9.8 cuts a password
// at its first zero byte where the TPM takes away only zeros at the end (Part
// 1 §19.6.5), so one of 32 random bytes would fail once in nine times.
func (s secret) nvPassword() []byte {
	k := s.derive("nv")
	return []byte(base64.RawURLEncoding.EncodeToString(k[:24])) // 192 bits in the 32 bytes that an index may have
}

func indexPublic(index uint32, written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index),
		NameAlg: tpm2.TPMAlgSHA256,
		// Not orderly: an orderly index is in RAM until the machine stops well.
		Attributes: tpm2.TPMANV{AuthWrite: true, AuthRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary, Written: written},
		DataSize:   slotBytes,
	}
}

// defineMemory makes the two indexes and writes that nothing was written.
func (h *HSM) defineMemory() error {
	a := h.at
	taken, err := a.handles(indexFirst, handlesMax)
	if err != nil {
		return err
	}
	h.keys.index = indexFirst
	for slices.Contains(taken, tpm2.TPMHandle(h.keys.index)) || slices.Contains(taken, tpm2.TPMHandle(h.keys.index+1)) {
		if h.keys.index += slotsCount; h.keys.index > indexLast {
			return fmt.Errorf("%w: all NV indexes from %#x to %#x are taken", hal.ErrFull, indexFirst, indexLast+1)
		}
	}
	password := h.root.nvPassword()
	for i := range slotsCount {
		_, err := tpm2.NVDefineSpace{
			AuthHandle: owner(h.options.OwnerAuth, a.salted(), encryptIn),
			Auth:       tpm2.TPM2BAuth{Buffer: password},
			PublicInfo: tpm2.New2B(indexPublic(h.keys.index+uint32(i), false)),
		}.Execute(a)
		if err != nil {
			return errors.Join(err, h.undefine(i))
		}
	}
	s, err := h.store(a)
	if err == nil {
		first := pair.Slot{Sequence: sequenceOne}
		err = s.Write(sequenceOne%slotsCount, encodeSlot(s.key, first))
	}
	if err == nil {
		_, err = h.memory.Load(s)
	}
	if err != nil {
		return errors.Join(err, h.undefineMemory())
	}
	return nil
}

func (h *HSM) undefineMemory() error { return h.undefine(slotsCount) }

// undefine removes the first n indexes; one that is gone already is no error.
func (h *HSM) undefine(n int) error {
	for i := range n {
		public := indexPublic(h.keys.index+uint32(i), false)
		got, err := tpm2.NVReadPublic{NVIndex: public.NVIndex}.Execute(h.at)
		if errors.Is(err, tpm2.TPMRCHandle) {
			continue
		}
		if err != nil {
			return err
		}
		if err := h.undefineIndex(h.at, tpm2.NamedHandle{Handle: public.NVIndex, Name: got.NVName}); err != nil {
			return err
		}
	}
	return nil
}

func (h *HSM) undefineIndex(a *attached, index tpm2.NamedHandle) error {
	if err := a.closeNV(); err != nil {
		return err
	}
	_, err := tpm2.NVUndefineSpace{AuthHandle: owner(h.options.OwnerAuth), NVIndex: index}.Execute(a)
	return err
}

// openMemory looks whether the indexes are still those that were made.
func (h *HSM) openMemory(a *attached) error {
	if a.found {
		return nil
	}
	if err := a.lock(h.keys.index); err != nil {
		return err
	}
	a.password = h.root.nvPassword()
	for i := range a.index {
		if err := a.findIndex(h.keys.index, i); err != nil {
			return err
		}
	}
	a.found = true
	return nil
}

// findIndex gives an index with its name, which changes once, when it is
// written first.
func (a *attached) findIndex(first uint32, place int) error {
	index := first + uint32(place)
	got, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(a)
	if err != nil {
		return torn(index, err)
	}
	public, err := got.NVPublic.Contents()
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	want := indexPublic(index, public.Attributes.Written)
	if !bytes.Equal(tpm2.Marshal(*public), tpm2.Marshal(want)) {
		return fmt.Errorf("%w: the NV index %#x is another one than the vault made", hal.ErrTorn, index)
	}
	name, err := tpm2.NVName(&want)
	if err != nil {
		return err
	}
	a.index[place], a.written[place] = tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: *name}, want.Attributes.Written
	return nil
}

// torn tells a TPM without our indexes, or with others in their place, from
// one that does not answer.
func torn(index uint32, err error) error {
	var format1 tpm2.TPMFmt1Error
	var rc tpm2.TPMRC
	refused := errors.As(err, &rc) && rc.As(&format1)
	if refused || is(err, codesSecret) || is(err, codesIndex) {
		return fmt.Errorf("%w: the NV index %#x is gone, locked or not ours any more. Somebody with the TPM owner's rights changed it: %w", hal.ErrTorn, index, err)
	}
	return err
}

// store is the pair's place in the TPM, for one call.
type store struct {
	*attached
	key secret
}

func (h *HSM) store(a *attached) (store, error) {
	return store{a, h.root.derive("memory")}, h.openMemory(a)
}

func (s store) Encode(slot pair.Slot) ([]byte, error) { return encodeSlot(s.key, slot), nil }

func (s store) Parse(place int, raw []byte) (pair.Slot, bool, error) {
	slot, whole := parseSlot(s.key, place, raw)
	return slot, whole, nil
}

// Read reads as much of an index as its slot has; nothing of one that was
// never written.
func (s store) Read(place int) (b []byte, err error) {
	index := s.index[place]
	for want := min(s.nvBytes, slotBytes); len(b) < want; {
		part, err := s.readNV(index, len(b), min(want-len(b), s.nvBytes))
		if errors.Is(err, tpm2.TPMRCNVUninitialized) && !s.written[place] {
			return nil, nil
		}
		if err != nil {
			return nil, torn(uint32(index.Handle), err)
		}
		b = append(b, part...)
		if size, ok := slotSize(b); ok {
			want = min(size, slotBytes)
		}
	}
	if size, ok := slotSize(b); ok { // what follows is of an older, longer slot
		b = b[:min(size, len(b))]
	}
	return b, nil
}

// Write writes a slot and reads it back.
func (s store) Write(place int, raw []byte) error {
	index := &s.index[place]
	for at := 0; at < len(raw); at += s.nvBytes {
		if err := s.writeNV(*index, at, raw[at:min(at+s.nvBytes, len(raw))]); err != nil {
			return torn(uint32(index.Handle), err)
		}
		if s.written[place] {
			continue
		}
		public := indexPublic(uint32(index.Handle), true)
		name, err := tpm2.NVName(&public)
		if err != nil {
			return err
		}
		index.Name, s.written[place] = *name, true
	}
	back, err := s.Read(place)
	if err == nil && !bytes.Equal(back, raw) {
		err = hal.ErrTaken
	}
	return err
}

// ReadMemory gives what was last written, from the TPM.
func (h *HSM) ReadMemory() (data []byte, err error) {
	err = h.do(func(a *attached) error {
		s, err := h.store(a)
		if err == nil {
			data, err = h.memory.Load(s)
		}
		return err
	})
	return data, err
}

// WriteMemory is durable when it returns: the TPM answers when its NV is
// written.
//
// A TPM has no write that compares: this looks, writes and reads back. On a
// device, the lock that every holder has on it (see lockDevice) keeps a second
// one out for as long as the first lives, and a unix socket serves one at a
// time, so nobody writes in between. Only holders that come in past the lock,
// by a second device node or a multiplexer on the socket, could each look, then
// each write: then one write is answered and lost, and its holder's next one
// finds out. Making such a way in takes root on the machine, who can use the
// keys without any memory.
func (h *HSM) WriteMemory(p []byte) error {
	if len(p) > hal.MemoryBytes {
		return ErrTooLarge
	}
	w := pair.Write{Data: p}
	return h.do(func(a *attached) error {
		s, err := h.store(a)
		if err != nil {
			return err
		}
		return w.Run(&h.memory, s)
	})
}
