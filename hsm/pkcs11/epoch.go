//go:build pkcs11 && cgo

package pkcs11

import "errors"

// Epoch and signing keys are being built; the vault does not ask for them yet.

func (h *HSM) MakeEpochKey(epoch uint64) error { return errors.ErrUnsupported }
func (h *HSM) SealEpoch(epoch uint64, aad, plaintext []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
func (h *HSM) OpenEpoch(epoch uint64, aad, sealed []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
func (h *HSM) DestroyEpochKey(epoch uint64) error         { return errors.ErrUnsupported }
func (h *HSM) EpochKeys() ([]uint64, error)               { return nil, errors.ErrUnsupported }
func (h *HSM) MakeSigningKey(name string) ([]byte, error) { return nil, errors.ErrUnsupported }
func (h *HSM) Sign(name string, digest [32]byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}
