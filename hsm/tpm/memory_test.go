package tpm

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

// TestTornMemory stops a write of many NV commands at each of them, before or
// after the TPM did it, and kills the TPM: the old or the new bytes are read.
func TestTornMemory(t *testing.T) {
	h, p, e := tapped(t)
	const parts = 7
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, hal.MemoryBytes) }
	olds, news := 0, 0
	if err := h.WriteMemory(value(0)); err != nil {
		t.Fatal(err)
	}
	old := 0
	for i := range 2 * 2 * parts { // each command of a write into each of the slots
		h.at.nvBytes = slotBytes/parts + 1
		var writes atomic.Int64 // over one line, and the next
		p.set(func(command []byte) verdict {
			if commandCode(command) != uint32(tpm2.TPMCCNVWrite) {
				return verdict{cut: writes.Load() > int64(i/2%parts)} // and nothing after the stop
			}
			over := writes.Add(1) > int64(i/2%parts)
			return verdict{cut: over && i%2 == 0, lose: over && i%2 == 1}
		})
		if err := h.WriteMemory(value(i + 1)); !errors.Is(err, hal.ErrGone) {
			t.Fatalf("write %d was stopped: %v", i, err)
		}
		p.set(nil)
		e.kill()
		e.start(t)
		h = reopen(t, h, h.options)
		got, err := h.ReadMemory()
		switch {
		case err == nil && bytes.Equal(got, value(old)):
			olds++
		case err == nil && bytes.Equal(got, value(i+1)):
			news++
			old = i + 1
		default:
			t.Fatalf("stopped at write %d: %v, %d bytes of %v", i, err, len(got), got[:min(1, len(got))])
		}
	}
	if olds < parts || news == 0 {
		t.Fatalf("%d times old, %d times new: nothing was torn", olds, news)
	}
}

// TestUnknownWrite: the TPM wrote and its answer was lost; the write is made
// once more over a new line, and is read.
func TestUnknownWrite(t *testing.T) {
	h, p, _ := tapped(t)
	for i := range byte(4) {
		lost := false
		p.set(func(command []byte) verdict {
			v := verdict{lose: !lost && commandCode(command) == uint32(tpm2.TPMCCNVWrite)}
			lost = lost || v.lose
			return v
		})
		err := h.WriteMemory([]byte{i})
		p.set(nil)
		if err != nil || !lost {
			t.Fatal(err, lost)
		}
		if got, err := h.ReadMemory(); err != nil || !bytes.Equal(got, []byte{i}) {
			t.Fatal(got, err)
		}
	}
}

// TestFolderPutBack: an older copy of the whole folder brings no older memory.
func TestFolderPutBack(t *testing.T) {
	h, _, _ := tapped(t)
	if err := h.WriteMemory([]byte("ten guesses left")); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(copied, os.DirFS(h.folder.dir)); err != nil {
		t.Fatal(err)
	}
	h = reopen(t, h, h.options)
	if err := h.WriteMemory([]byte("nine guesses left")); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := Open(copied, h.options)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if got, err := old.ReadMemory(); string(got) != "nine guesses left" {
		t.Fatalf("%q, %v", got, err)
	}
}

// nvOwner does as the TPM's owner does.
func nvOwner(t *testing.T, h *HSM, do func(a *attached, public tpm2.TPMSNVPublic, name tpm2.TPM2BName) error) {
	t.Helper()
	err := h.do(func(a *attached) error {
		for i := range uint32(slotsCount) {
			got, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(h.keys.index + i)}.Execute(a)
			if err != nil {
				return err
			}
			public, err := got.NVPublic.Contents()
			if err != nil {
				return err
			}
			if err := do(a, *public, got.NVName); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOwnerOfTheTPM: the owner removes the indexes, or puts fresh ones in
// their place. The memory is then damaged, never empty and never older.
func TestOwnerOfTheTPM(t *testing.T) {
	undefine := func(a *attached, public tpm2.TPMSNVPublic, name tpm2.TPM2BName) error {
		_, err := tpm2.NVUndefineSpace{AuthHandle: owner(nil), NVIndex: tpm2.NamedHandle{Handle: public.NVIndex, Name: name}}.Execute(a)
		return err
	}
	redefine := func(password []byte) func(*attached, tpm2.TPMSNVPublic, tpm2.TPM2BName) error {
		return func(a *attached, public tpm2.TPMSNVPublic, name tpm2.TPM2BName) error {
			if err := undefine(a, public, name); err != nil {
				return err
			}
			public.Attributes.Written = false
			_, err := tpm2.NVDefineSpace{AuthHandle: owner(nil), Auth: tpm2.TPM2BAuth{Buffer: password}, PublicInfo: tpm2.New2B(public)}.Execute(a)
			return err
		}
	}
	for name, change := range map[string]func(*attached, tpm2.TPMSNVPublic, tpm2.TPM2BName) error{
		"removed": undefine, "made again": redefine(nil), "made again with our password": nil,
		"made again with other attributes": func(a *attached, public tpm2.TPMSNVPublic, name tpm2.TPM2BName) error {
			public.Attributes.OwnerRead = true
			return redefine(nil)(a, public, name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := tapped(t)
			if change == nil {
				change = redefine(h.root.nvPassword())
			}
			if err := h.WriteMemory([]byte("anchor")); err != nil {
				t.Fatal(err)
			}
			nvOwner(t, h, change)
			if err := h.WriteMemory([]byte("next")); !errors.Is(err, hal.ErrTorn) && !errors.Is(err, hal.ErrTaken) {
				t.Errorf("a write: %v", err)
			}
			_ = h.Close()
			if _, err := Open(h.folder.dir, h.options); !errors.Is(err, hal.ErrTorn) {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

// TestOtherUserOfTheTPM: without the password, the indexes can not be read or
// written, not even by the owner.
func TestOtherUserOfTheTPM(t *testing.T) {
	h, _, _ := tapped(t)
	if err := h.WriteMemory([]byte("anchor")); err != nil {
		t.Fatal(err)
	}
	nvOwner(t, h, func(a *attached, public tpm2.TPMSNVPublic, name tpm2.TPM2BName) error {
		index := tpm2.NamedHandle{Handle: public.NVIndex, Name: name}
		for who, auth := range map[string]tpm2.AuthHandle{
			"the owner": owner(nil), "anybody": {Handle: index.Handle, Name: name, Auth: tpm2.PasswordAuth(nil)},
		} {
			if _, err := (tpm2.NVRead{AuthHandle: auth, NVIndex: index, Size: 8}).Execute(a); err == nil {
				t.Errorf("%s reads it", who)
			}
			if _, err := (tpm2.NVWrite{AuthHandle: auth, NVIndex: index, Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}).Execute(a); err == nil {
				t.Errorf("%s writes it", who)
			}
		}
		return nil
	})
	if got, err := h.ReadMemory(); err != nil || string(got) != "anchor" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestRemove: the TPM has its room back, the folder can be used again, and a
// second removal, or one of a TPM whose owner was faster, does no harm.
func TestRemove(t *testing.T) {
	e := newEmulator(t)
	dir, o := t.TempDir(), Options{Path: e.socket}
	for range 3 {
		h, err := Create(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		u := use(t, h)
		if err := Remove(dir, o); !errors.Is(err, ErrLocked) {
			t.Fatalf("in use: %v", err)
		}
		if err := errors.Join(h.Close(), Remove(dir, o)); err != nil {
			t.Fatal(err)
		}
		if err := Remove(dir, o); !errors.Is(err, ErrMissing) {
			t.Fatalf("removed already: %v", err)
		}
		h, err = Create(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.MultiplyWrapped(hal.P256, u.wrapped, u.public); !errors.Is(err, hal.ErrWrapped) {
			t.Fatalf("a removed HSM's key: %v", err)
		}
		err = h.do(func(a *attached) error {
			left, err := a.handles(handlesNV, handlesMax)
			if len(left) != slotsCount {
				t.Errorf("%d NV indexes", len(left))
			}
			return errors.Join(err, h.undefine(1))
		})
		if err := errors.Join(err, h.Close(), Remove(dir, o)); err != nil {
			t.Fatal(err)
		}
	}
}
