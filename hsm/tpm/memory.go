package tpm

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

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

// memory is the durable memory as one connection knows it.
type memory struct {
	newest slot
	write  tpm2.Session // with the indexes' password; encrypts what is written
	index  [slotsCount]tpm2.NamedHandle
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
	if a.memory, err = a.openMemory(h.keys.index, password); err == nil {
		err = a.writeSlot(h.root.derive("memory"), slot{sequence: sequenceOne})
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
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: owner(h.options.OwnerAuth),
			NVIndex:    tpm2.NamedHandle{Handle: public.NVIndex, Name: got.NVName},
		}.Execute(h.at)
		if err != nil {
			return err
		}
	}
	return nil
}

// openMemory looks whether the indexes are still those that were made, and
// opens the session that writes to them.
func (a *attached) openMemory(index uint32, password []byte) (m *memory, err error) {
	m = new(memory)
	for i := range m.index {
		if err := a.findIndex(index+uint32(i), &m.index[i]); err != nil {
			return nil, err
		}
	}
	m.write, _, err = tpm2.HMACSession(a, tpm2.TPMAlgSHA256, sessionNonceBytes, a.salted(), tpm2.Auth(password), encryptIn)
	return m, err
}

// findIndex gives an index with its name, which changes once, when it is
// written first.
func (a *attached) findIndex(index uint32, into *tpm2.NamedHandle) error {
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
	*into = tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: *name}
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

// loadMemory reads both slots and keeps the newest.
func (h *HSM) loadMemory(a *attached) error {
	password := h.root.nvPassword()
	if a.memory == nil {
		m, err := a.openMemory(h.keys.index, password)
		if err != nil {
			return err
		}
		a.memory = m
	}
	read, end, err := tpm2.HMACSession(a, tpm2.TPMAlgSHA256, sessionNonceBytes, a.salted(), tpm2.Auth(password), encryptOut)
	if err != nil {
		return err
	}
	newest := slot{}
	for place, index := range a.memory.index {
		b, err := a.readSlot(read, index)
		if err != nil {
			return errors.Join(err, end())
		}
		if s, ok := parseSlot(h.root.derive("memory"), place, b); ok && s.sequence > newest.sequence {
			newest = s
		}
	}
	a.memory.newest = newest
	if err := end(); err != nil {
		return err
	}
	if newest.sequence == 0 {
		return fmt.Errorf("%w: neither slot in the TPM is whole", hal.ErrTorn)
	}
	return nil
}

// readSlot reads as much of an index as its slot has; nothing of one that was
// never written.
func (a *attached) readSlot(session tpm2.Session, index tpm2.NamedHandle) (b []byte, err error) {
	for want := min(a.nvBytes, slotBytes); len(b) < want; {
		got, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session},
			NVIndex:    index,
			Size:       uint16(min(want-len(b), a.nvBytes)),
			Offset:     uint16(len(b)),
		}.Execute(a)
		if errors.Is(err, tpm2.TPMRCNVUninitialized) {
			return nil, nil
		}
		if err != nil {
			return nil, torn(uint32(index.Handle), err)
		}
		if len(got.Data.Buffer) == 0 {
			return nil, fmt.Errorf("%w: an empty part of an NV index", errLost)
		}
		b = append(b, got.Data.Buffer...)
		if size, ok := slotSize(b); ok {
			want = size
		}
	}
	return b, nil
}

// writeSlot writes s in its place. Whatever happens in the middle, the other
// slot stays.
func (a *attached) writeSlot(key secret, s slot) error {
	place := int(s.sequence % slotsCount)
	b := s.encode(key)
	for at := 0; at < len(b); at += a.nvBytes {
		index := a.memory.index[place]
		_, err := tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: a.memory.write},
			NVIndex:    index,
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: b[at:min(at+a.nvBytes, len(b))]},
			Offset:     uint16(at),
		}.Execute(a)
		if err != nil {
			return torn(uint32(index.Handle), err)
		}
		if s.sequence <= sequenceOne+1 && at == 0 { // the index was written for the first time
			written := indexPublic(uint32(index.Handle), true)
			name, err := tpm2.NVName(&written)
			if err != nil {
				return err
			}
			a.memory.index[place].Name = *name
		}
	}
	a.memory.newest = s
	return nil
}

// ReadMemory gives what was last written, from the TPM.
func (h *HSM) ReadMemory() (data []byte, err error) {
	err = h.do(func(a *attached) error {
		if err := h.loadMemory(a); err != nil {
			return err
		}
		data = a.memory.newest.data
		return nil
	})
	return data, err
}

// WriteMemory is durable when it returns: the TPM answers when its NV is
// written. A write whose end is not known is looked up and, if need be, made
// again in the other slot.
func (h *HSM) WriteMemory(p []byte) error {
	if len(p) > hal.MemoryBytes {
		return ErrTooLarge
	}
	return h.do(func(a *attached) error {
		if a.memory == nil || a.memory.newest.sequence == 0 {
			if err := h.loadMemory(a); err != nil {
				return err
			}
		}
		next := slot{a.memory.newest.sequence + 1, append([]byte{}, p...)}
		return a.writeSlot(h.root.derive("memory"), next)
	})
}
