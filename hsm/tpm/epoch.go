package tpm

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

// An epoch's secret lies in an NV index of its own, and nowhere else: the key
// is derived from it and the root, and no file knows it. A key under the
// storage root would be a blob on the disk, and whoever puts that back could
// load it again; a persistent object (TPM2_EvictControl) could be destroyed
// too, but a TPM need hold only a few of those for the whole machine, and each
// fills a slot of 1 KiB and more where this takes 40 bytes.
//
// The index holds epoch (8) || secret (32), written once. What is ours is known
// by its public area alone: in place of a policy stands a mark that only this
// vault's root gives, and which permits nothing. TPM2_NV_UndefineSpace ends it;
// afterwards no command gives the secret out, in whatever state the files are.
// Whether the chip's cells are wiped too is its maker's to say. (A software TPM
// forgets as far as the disk of its state does.)

const (
	epochFirst  = 0x01805400
	epochLast   = 0x018054ff
	epochBytes  = 8 + 32
	epochsMax   = 16 // of one vault: NV is small and for the whole machine
	markPurpose = "epochs"
)

var errPlaintext = fmt.Errorf("tpm: an epoch key seals at most %d bytes", hal.EpochPlaintextMax)

func (h *HSM) epochPublic(index tpm2.TPMHandle, written bool) tpm2.TPMSNVPublic {
	mark := h.root.derive(markPurpose)
	public := indexPublic(uint32(index), written)
	public.AuthPolicy, public.DataSize = tpm2.TPM2BDigest{Buffer: mark[:]}, epochBytes
	return public
}

// epochs is what a look through the NV found.
type epochs struct {
	keys       map[uint64]epochKey
	unfinished []tpm2.NamedHandle // defined and not written: a making that was interrupted
	taken      []tpm2.TPMHandle   // of all in the range, ours or not
}

type epochKey struct {
	index  tpm2.NamedHandle
	secret secret
}

// findEpochs reads all epochs of this vault. They are few, and looked at a
// few times a day: nothing is kept, so what was destroyed is not in memory.
func (h *HSM) findEpochs(a *attached) (e epochs, err error) {
	if err := h.openMemory(a); err != nil {
		return e, err
	}
	if e.taken, err = a.handles(epochFirst, handlesMax); err != nil {
		return e, err
	}
	e.keys = map[uint64]epochKey{}
	for _, index := range e.taken {
		if index > epochLast {
			break
		}
		if err := h.readEpoch(a, index, &e); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (h *HSM) readEpoch(a *attached, index tpm2.TPMHandle, e *epochs) error {
	got, err := tpm2.NVReadPublic{NVIndex: index}.Execute(a)
	if err != nil {
		return err
	}
	public, err := got.NVPublic.Contents()
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	want := h.epochPublic(index, public.Attributes.Written)
	if !bytes.Equal(tpm2.Marshal(*public), tpm2.Marshal(want)) {
		return nil // somebody else's
	}
	name, err := tpm2.NVName(&want)
	if err != nil {
		return err
	}
	named := tpm2.NamedHandle{Handle: index, Name: *name}
	if !want.Attributes.Written {
		e.unfinished = append(e.unfinished, named)
		return nil
	}
	b, err := a.readNV(named, 0, epochBytes)
	if err != nil {
		return torn(uint32(index), err)
	}
	if len(b) != epochBytes {
		return fmt.Errorf("%w: an epoch's NV index of %d bytes", errLost, len(b))
	}
	e.keys[binary.BigEndian.Uint64(b)] = epochKey{named, secret(b[8:])}
	clear(b)
	return nil
}

// free is an index for one more.
func (e epochs) free() (tpm2.TPMHandle, error) {
	if len(e.keys) >= epochsMax {
		return 0, fmt.Errorf("%w: there are %d epoch keys; destroy one first", hal.ErrFull, epochsMax)
	}
	for index := tpm2.TPMHandle(epochFirst); index <= epochLast; index++ {
		if !slices.Contains(e.taken, index) {
			return index, nil
		}
	}
	return 0, fmt.Errorf("%w: all NV indexes from %#x to %#x are taken", hal.ErrFull, epochFirst, epochLast)
}

// MakeEpochKey draws the secret and writes it into an NV index.
func (h *HSM) MakeEpochKey(epoch uint64) error {
	content := binary.BigEndian.AppendUint64(nil, epoch)
	content = append(content, make([]byte, len(secret{}))...)
	defer clear(content)
	if _, err := rand.Read(content[8:]); err != nil {
		return err
	}
	mixed := false
	return h.do(func(a *attached) error {
		if !mixed {
			if err := a.mixRandom(content[8:]); err != nil {
				return err
			}
			mixed = true
		}
		e, err := h.findEpochs(a)
		if err != nil {
			return err
		}
		if k, found := e.keys[epoch]; found {
			if bytes.Equal(k.secret[:], content[8:]) {
				return nil // an earlier try's, whose answer was lost
			}
			return hal.ErrKeyExists
		}
		for _, index := range e.unfinished {
			if err := h.undefineIndex(a, index); err != nil {
				return err
			}
			e.taken = slices.DeleteFunc(e.taken, func(h tpm2.TPMHandle) bool { return h == index.Handle })
		}
		index, err := e.free()
		if err != nil {
			return err
		}
		return h.writeEpoch(a, index, content)
	})
}

func (h *HSM) writeEpoch(a *attached, index tpm2.TPMHandle, content []byte) error {
	public := h.epochPublic(index, false)
	if err := a.closeNV(); err != nil {
		return err
	}
	_, err := tpm2.NVDefineSpace{
		AuthHandle: owner(h.options.OwnerAuth, a.salted(), encryptIn),
		Auth:       tpm2.TPM2BAuth{Buffer: a.password},
		PublicInfo: tpm2.New2B(public),
	}.Execute(a)
	if err != nil {
		return err
	}
	name, err := tpm2.NVName(&public)
	if err != nil {
		return err
	}
	return a.writeNV(tpm2.NamedHandle{Handle: index, Name: *name}, 0, content)
}

// DestroyEpochKey takes the index out of the TPM.
func (h *HSM) DestroyEpochKey(epoch uint64) error {
	return h.do(func(a *attached) error {
		e, err := h.findEpochs(a)
		if err != nil {
			return err
		}
		k, found := e.keys[epoch]
		if !found {
			return nil
		}
		return h.undefineIndex(a, k.index)
	})
}

// EpochKeys are the epochs whose keys exist.
func (h *HSM) EpochKeys() (list []uint64, err error) {
	err = h.do(func(a *attached) error {
		e, err := h.findEpochs(a)
		list = slices.Sorted(maps.Keys(e.keys))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// useEpoch runs f with the key of an epoch.
func (h *HSM) useEpoch(epoch uint64, f func(secret) error) error {
	return h.do(func(a *attached) error {
		e, err := h.findEpochs(a)
		if err != nil {
			return err
		}
		k, found := e.keys[epoch]
		if !found {
			return hal.ErrNoKey
		}
		root := h.root.derive("epoch")
		b, err := hkdf.Key(sha256.New, append(k.secret[:], root[:]...), nil, "strongroom/v1/tpm/epoch key", len(root))
		if err != nil {
			return err
		}
		return f(secret(b))
	})
}

// SealEpoch seals under the key of an epoch.
func (h *HSM) SealEpoch(epoch uint64, aad, plaintext []byte) (sealed []byte, err error) {
	if len(plaintext) > hal.EpochPlaintextMax {
		return nil, errPlaintext
	}
	err = h.useEpoch(epoch, func(k secret) error {
		sealed, err = k.seal(aad, plaintext)
		return err
	})
	return sealed, err
}

// OpenEpoch undoes SealEpoch, or gives hal.ErrSealed.
func (h *HSM) OpenEpoch(epoch uint64, aad, sealed []byte) (plaintext []byte, err error) {
	err = h.useEpoch(epoch, func(k secret) error {
		plaintext, err = k.open(aad, sealed)
		return err
	})
	return plaintext, err
}

// undefineEpochs takes all of them out: Remove.
func (h *HSM) undefineEpochs(a *attached) error {
	e, err := h.findEpochs(a)
	if errors.Is(err, hal.ErrTorn) { // the owner was faster
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range e.keys {
		e.unfinished = append(e.unfinished, k.index)
	}
	for _, index := range e.unfinished {
		if err := h.undefineIndex(a, index); err != nil {
			return err
		}
	}
	return nil
}
