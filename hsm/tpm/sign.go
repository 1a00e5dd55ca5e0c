package tpm

import (
	"errors"
	"math/big"

	"filippo.io/nistec"
	"github.com/google/go-tpm/tpm2"

	"strongroom/hsm/internal/p256"
)

// MakeSigningKey makes a named key that signs and keeps it in the file.
func (h *HSM) MakeSigningKey(name string) ([]byte, error) {
	return h.makeNamed(namedKey{name: name, use: useSign})
}

// Sign is TPM2_Sign (Part 3 §20.2) by ECDSA.
func (h *HSM) Sign(name string, digest [32]byte) (signature []byte, err error) {
	err = h.useNamed(name, useSign, func(a *attached, n namedKey) error {
		return a.withKey(n.purpose(), n.key, func(key tpm2.NamedHandle) error {
			signature, err = a.sign(key, digest)
			if err != nil {
				return err
			}
			public, err := nistec.NewP256Point().SetBytes(n.key.point[:])
			if err == nil && !p256.Verifies(public, digest[:], signature) {
				err = a.lose(errors.New("a signature that does not verify"))
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// sign goes without a session: nothing in it is a secret, and what somebody on
// the way changes does not verify.
func (a *attached) sign(key tpm2.NamedHandle, digest [32]byte) ([]byte, error) {
	made, err := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: tpm2.PasswordAuth(nil)},
		Digest:     tpm2.TPM2BDigest{Buffer: digest[:]},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(a)
	if err != nil {
		return nil, err
	}
	rs, err := made.Signature.Signature.ECDSA()
	if err != nil || len(rs.SignatureR.Buffer) > coordinateBytes || len(rs.SignatureS.Buffer) > coordinateBytes {
		return nil, a.lose(errors.New("no ECDSA signature of P-256"))
	}
	r, s := new(big.Int).SetBytes(rs.SignatureR.Buffer), new(big.Int).SetBytes(rs.SignatureS.Buffer)
	return append(r.FillBytes(make([]byte, coordinateBytes)), s.FillBytes(make([]byte, coordinateBytes))...), nil
}
