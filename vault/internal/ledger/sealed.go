package ledger

import (
	"encoding/binary"
	"io"

	"strongroom/vault/internal/seal"
)

const (
	sealedVersion = 2
	sealedHeader  = 1 + 8
)

// Seal seals a value in the newest epoch: version || epoch (64 bit, big
// endian) || seal.Seal. Label tells its purpose and place.
func (e Epochs) Seal(rand io.Reader, label string, aad, plaintext []byte) ([]byte, error) {
	newest := e.held[len(e.held)-1]
	sealed, err := seal.Seal(rand, newest.secret, label, aad, plaintext)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, sealedHeader+len(sealed))
	b = binary.BigEndian.AppendUint64(append(b, sealedVersion), newest.Number)
	return append(b, sealed...), nil
}

// Open undoes Seal and tells the epoch. Errors: ErrEpoch, seal.ErrSealed.
func (e Epochs) Open(label string, aad, sealed []byte) (plaintext []byte, epoch uint64, err error) {
	if len(sealed) < sealedHeader || sealed[0] != sealedVersion {
		return nil, 0, seal.ErrSealed
	}
	epoch = binary.BigEndian.Uint64(sealed[1:])
	secret, err := e.secret(epoch)
	if err != nil {
		return nil, epoch, err
	}
	plaintext, err = seal.Open(secret, label, aad, sealed[sealedHeader:])
	return plaintext, epoch, err
}
