package channel

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"strongroom/protocol/wire"
)

// SealUnderSession seals the sealed key of one login under its OPAQUE session
// key (RFC 9807 §3.3): who stands between client and box, even with the
// channel's key, does not get what the password opens.
//
// The AEAD key belongs to one (session, fleet, account, generation, slot), and
// so to one plaintext: a generation's sealed key never changes. A retry gives
// the same bytes.
func SealUnderSession(sessionKey []byte, fleet wire.FleetID, account string, g wire.Generation, slot uint64, plaintext []byte) ([]byte, error) {
	aead, iv, err := sessionKeys(sessionKey, fleet, account, g, slot)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, iv, plaintext, nil), nil
}

// OpenUnderSession undoes SealUnderSession, or gives ErrSealed.
func OpenUnderSession(sessionKey []byte, fleet wire.FleetID, account string, g wire.Generation, slot uint64, sealed []byte) ([]byte, error) {
	aead, iv, err := sessionKeys(sessionKey, fleet, account, g, slot)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, iv, sealed, nil)
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

func sessionKeys(sessionKey []byte, fleet wire.FleetID, account string, g wire.Generation, slot uint64) (cipher.AEAD, []byte, error) {
	info := append([]byte("strongroom/v1/sealed key"), fleet[:]...)
	info = append(info, g[:]...)
	info = binary.BigEndian.AppendUint64(info, slot)
	info = append(info, account...) // last: the only one of variable length
	okm, err := hkdf.Key(sha256.New, sessionKey, nil, string(info), 32+12)
	if err != nil {
		return nil, nil, err
	}
	aead, err := gcm(okm[:32])
	return aead, okm[32:], err
}
