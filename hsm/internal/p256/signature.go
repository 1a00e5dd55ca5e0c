// Package p256 is what an HSM's answers are compared with.
package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"

	"filippo.io/nistec"
)

// Verifies says whether r || s, 64 bytes, is a signature of a digest (ECDSA,
// FIPS 186-5 §6.4.2). An HSM's own is looked at before it is given out: a wrong
// one could tell about the key.
func Verifies(public *nistec.P256Point, digest, rs []byte) bool {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), public.Bytes())
	if err != nil || len(rs) != 64 {
		return false
	}
	return ecdsa.Verify(key, digest, new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:]))
}
