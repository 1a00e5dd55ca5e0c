package bundle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"

	"strongroom/protocol/wire"
)

// SignedBy checks an ECDSA P-256 signature of an HSM over what has a SHA-256
// (FIPS 186-5 §6.4.2): key is SEC1 compressed, signature r || s.
func SignedBy(key []byte, digest [sha256.Size]byte, signature []byte) bool {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), key)
	if x == nil || len(signature) != wire.SignatureBytes {
		return false
	}
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	return ecdsa.Verify(&ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, digest[:], r, s)
}
