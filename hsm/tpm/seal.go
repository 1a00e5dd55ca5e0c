package tpm

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom/hsm/internal/once"
	"strongroom/vault/hal"
)

// Seal and Open work in software with keys from a root secret that the TPM
// seals (TPM2_Create of a keyed hash object) and unseals when the HSM is
// opened; Close forgets it. TPM2_EncryptDecrypt2 is not used: many TPMs leave
// it out, it has no mode that authenticates, takes 1 KiB at a time and would
// make each Seal wait for the TPM. At rest nothing opens without this TPM;
// while the HSM is open, the box's memory holds what it sealed anyway.

// derive gives the key for one purpose.
func (s secret) derive(label string) (k secret) {
	b, err := hkdf.Key(sha256.New, s[:], nil, "strongroom/v1/tpm/"+label, len(k))
	if err != nil {
		panic(err) // only a length above 8,160 bytes, or a short secret in FIPS mode
	}
	return secret(b)
}

// makeRoot draws the root secret and seals it.
func (h *HSM) makeRoot() error {
	a := h.at
	if _, err := rand.Read(h.root[:]); err != nil {
		return err
	}
	if err := a.mixRandom(h.root[:]); err != nil {
		return err
	}
	made, err := tpm2.Create{
		ParentHandle: a.parent(),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: h.root[:]}),
		}},
		InPublic: tpm2.New2B(rootTemplate(nil)),
	}.Execute(a, tpm2.HMAC(tpm2.TPMAlgSHA256, sessionNonceBytes, a.salted(), encryptIn))
	if err != nil {
		return err
	}
	public, err := made.OutPublic.Contents()
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	unique, err := public.Unique.KeyedHash()
	if err != nil || len(unique.Buffer) != sha256.Size || !same(&made.OutPublic, rootTemplate(unique.Buffer)) {
		return errUnfit
	}
	h.keys.root = sealedRoot{[sha256.Size]byte(unique.Buffer), made.OutPrivate.Buffer}
	return nil
}

// unseal gives the root secret.
func (a *attached) unseal(r sealedRoot) (root secret, err error) {
	err = a.with(rootTemplate(r.unique[:]), r.private, func(item tpm2.NamedHandle) error {
		got, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: item.Handle, Name: item.Name, Auth: a.answers}}.Execute(a)
		if err != nil {
			return err
		}
		if len(got.OutData.Buffer) != len(root) {
			return errLoad
		}
		copy(root[:], got.OutData.Buffer)
		clear(got.OutData.Buffer)
		return nil
	})
	return root, asError(err, errLoad, fmt.Errorf("%w: %s: its secret does not unseal", ErrFile, keysFile))
}

const onceLabel = "strongroom/v1/tpm/once"

func (s secret) seal(aad, plaintext []byte) ([]byte, error) {
	return once.Seal((*[32]byte)(&s), onceLabel, aad, plaintext)
}

// open undoes seal, or gives hal.ErrSealed.
func (s secret) open(aad, sealed []byte) ([]byte, error) {
	plaintext, err := once.Open((*[32]byte)(&s), onceLabel, aad, sealed)
	return plaintext, asError(err, once.ErrOpen, hal.ErrSealed)
}

// Seal seals under a key of the root.
func (h *HSM) Seal(aad, plaintext []byte) (sealed []byte, err error) {
	err = h.hold(func() error {
		sealed, err = h.root.derive("seal").seal(aad, plaintext)
		return err
	})
	return sealed, err
}

// Open undoes Seal, or gives hal.ErrSealed.
func (h *HSM) Open(aad, sealed []byte) (plaintext []byte, err error) {
	err = h.hold(func() error {
		plaintext, err = h.root.derive("seal").open(aad, sealed)
		return err
	})
	return plaintext, err
}
