package tpm

import (
	"bytes"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// attached is one connection with what it has in the TPM: the storage key and
// two sessions, both salted to that key (TPM 2.0 Part 1 §19), so that whoever
// listens at the bus does not read what they encrypt and whoever sits in it
// can not answer in the TPM's place. They are few: a TPM need hold only three
// objects and three sessions at once.
type attached struct {
	*link
	storage tpm2.NamedHandle
	point   [pointBytes]byte // the storage key's
	public  tpm2.TPMTPublic
	answers tpm2.Session // encrypts the first parameter of an answer
	nv
	nvBytes int // of one NV command
}

const sessionNonceBytes = 16

// attach connects. want is the storage key's point as the vault was made with
// it, nil when it is being made.
func attach(o Options, salt [saltBytes]byte, want []byte, stop <-chan struct{}) (*attached, error) {
	l, err := dial(o.Path, o.Wait, stop)
	if err != nil {
		return nil, err
	}
	a := &attached{link: l}
	if err := a.open(o, salt, want); err != nil {
		_ = l.conn.Close()
		return nil, err
	}
	return a, nil
}

func (a *attached) open(o Options, salt [saltBytes]byte, want []byte) error {
	if err := a.sweep(); err != nil {
		return err
	}
	a.nv = nv{}
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: owner(o.OwnerAuth),
		InPublic:      tpm2.New2B(storageTemplate(salt)),
	}.Execute(a)
	if err != nil {
		return err
	}
	point, err := publicPoint(&made.OutPublic)
	if err != nil {
		return err
	}
	if want != nil && !bytes.Equal(point, want) {
		return fmt.Errorf("%w: its storage key is another one. Nothing was changed; use the TPM that the vault was made with", ErrOther)
	}
	expanded, err := expand(point)
	if err != nil {
		return err
	}
	a.point = [pointBytes]byte(point)
	a.public = storageTemplate(salt)
	a.public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, expanded)
	name, err := tpm2.ObjectName(&a.public)
	if err != nil {
		return err
	}
	a.storage = tpm2.NamedHandle{Handle: made.ObjectHandle, Name: *name}
	if a.answers, _, err = tpm2.HMACSession(a, tpm2.TPMAlgSHA256, sessionNonceBytes, a.salted(), encryptOut); err != nil {
		return err
	}
	a.nvBytes, err = a.nvBufferBytes()
	return err
}

// owner authorizes with the owner's password: it does not travel, but an HMAC
// under it does, so whoever listens at the bus can try guesses.
func owner(password []byte, more ...tpm2.AuthOption) tpm2.AuthHandle {
	session := tpm2.PasswordAuth(nil)
	if len(password) > 0 || len(more) > 0 {
		session = tpm2.HMAC(tpm2.TPMAlgSHA256, sessionNonceBytes, append(more, tpm2.Auth(password))...)
	}
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: session}
}

func (a *attached) salted() tpm2.AuthOption { return tpm2.Salted(a.storage.Handle, a.public) }

var (
	encryptIn  = tpm2.AESEncryption(128, tpm2.EncryptIn)
	encryptOut = tpm2.AESEncryption(128, tpm2.EncryptOut)
)

// parent authorizes use of the storage key, which has no password of its own:
// it exists only in connections whose opener had the owner's.
func (a *attached) parent() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: a.storage.Handle, Name: a.storage.Name, Auth: tpm2.PasswordAuth(nil)}
}

// sweep takes out what an earlier connection left. A socket serves one
// connection at a time, so what is loaded when it begins is nobody's; a device
// may show what is others', so there only what is known goes, and the kernel
// sweeps when it is closed.
func (a *attached) sweep() error {
	if !a.socket {
		return a.flushKnown()
	}
	for _, first := range []uint32{handlesTransient, handlesSession} {
		found, err := a.handles(first, handlesMax)
		if err != nil {
			return err
		}
		for _, h := range found {
			if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// flushKnown takes out what this connection put in, as far as it is there.
func (a *attached) flushKnown() error {
	handles := []tpm2.TPMHandle{a.storage.Handle}
	for _, s := range []tpm2.Session{a.answers, a.read, a.write} {
		if s != nil {
			handles = append(handles, s.Handle())
		}
	}
	for _, h := range handles {
		if h == 0 {
			continue
		}
		if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(a); err != nil && !answered(err) {
			return err
		}
	}
	a.storage, a.answers, a.nv = tpm2.NamedHandle{}, nil, nv{}
	return nil
}

// First handles of the ranges (Part 2 §7.2).
const (
	handlesSession   = 0x02000000
	handlesTransient = 0x80000000
	handlesMax       = 254
)

func (a *attached) handles(first uint32, count uint32) ([]tpm2.TPMHandle, error) {
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: count}.Execute(a)
	if err != nil {
		return nil, err
	}
	list, err := got.CapabilityData.Data.Handles()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	return list.Handle, nil
}

const (
	nvBufferBytesDefault = 512
	nvBufferBytesMax     = 1024
)

// nvBufferBytes is how much one NV command may carry.
func (a *attached) nvBufferBytes() (int, error) {
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(tpm2.TPMPTNVBufferMax), PropertyCount: 1}.Execute(a)
	if err != nil {
		return 0, err
	}
	list, err := got.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errLost, err)
	}
	if len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != tpm2.TPMPTNVBufferMax || list.TPMProperty[0].Value == 0 {
		return nvBufferBytesDefault, nil
	}
	return int(min(list.TPMProperty[0].Value, nvBufferBytesMax)), nil
}

// detach takes out what the connection has loaded, when that goes quickly,
// and ends it. What stays, the next connection sweeps.
func (a *attached) detach() {
	a.wait, a.stop = farewellWait, nil
	if a.broken == nil {
		_ = a.sweep()
	}
	_ = a.conn.Close()
}
