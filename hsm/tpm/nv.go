package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// nv is how a connection reads and writes the vault's NV indexes: by two
// sessions that know their password, one that encrypts what is read and one
// that encrypts what is written, each made when it is first needed.
type nv struct {
	password    []byte
	read, write tpm2.Session
	index       [slotsCount]tpm2.NamedHandle // of the durable memory
	written     [slotsCount]bool
	found       bool // index was looked up

}

func (a *attached) nvSession(s *tpm2.Session, direction tpm2.AuthOption) (tpm2.Session, error) {
	if *s != nil {
		return *s, nil
	}
	made, _, err := tpm2.HMACSession(a, tpm2.TPMAlgSHA256, sessionNonceBytes, a.salted(), tpm2.Auth(a.password), direction)
	if err == nil {
		*s = made
	}
	return made, err
}

// closeNV ends both sessions: a TPM need hold no more than three, and the
// owner's commands bring one of their own.
func (a *attached) closeNV() error {
	for _, s := range []*tpm2.Session{&a.read, &a.write} {
		if *s == nil {
			continue
		}
		if _, err := (tpm2.FlushContext{FlushHandle: (*s).Handle()}).Execute(a); err != nil {
			return err
		}
		*s = nil
	}
	return nil
}

// readNV is TPM2_NV_Read (Part 3 §31.13).
func (a *attached) readNV(index tpm2.NamedHandle, at, size int) ([]byte, error) {
	session, err := a.nvSession(&a.read, encryptOut)
	if err != nil {
		return nil, err
	}
	got, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session},
		NVIndex:    index,
		Size:       uint16(size),
		Offset:     uint16(at),
	}.Execute(a)
	if err != nil {
		return nil, err
	}
	if n := len(got.Data.Buffer); n == 0 || n > size {
		return nil, fmt.Errorf("%w: a part of an NV index of %d bytes", errLost, n)
	}
	return got.Data.Buffer, nil
}

// writeNV is TPM2_NV_Write (Part 3 §31.7).
func (a *attached) writeNV(index tpm2.NamedHandle, at int, data []byte) error {
	session, err := a.nvSession(&a.write, encryptIn)
	if err != nil {
		return err
	}
	_, err = tpm2.NVWrite{
		AuthHandle: tpm2.AuthHandle{Handle: index.Handle, Name: index.Name, Auth: session},
		NVIndex:    index,
		Data:       tpm2.TPM2BMaxNVBuffer{Buffer: data},
		Offset:     uint16(at),
	}.Execute(a)
	return err
}
