package client

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"

	"strongroom/protocol/wire"
)

// ownerKey is the signing key (Ed25519, RFC 8032) that whoever holds K can
// make: its public half stands in the record, so a holder of K may replace or
// delete the record without its password. It differs from fleet to fleet and
// account to account, so that equal owners can not be linked by it.
func ownerKey(k Key, fleet wire.FleetID, account string) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, k[:], fleet[:], labelOwner+"\x00"+account, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
