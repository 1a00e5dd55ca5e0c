package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"strongroom/protocol/bundle"
)

// Issue signs claims under the issuer's id with an Ed25519 or P-256 key.
func Issue(c Claims, issuer string, private crypto.Signer) (string, error) {
	var method jwt.SigningMethod
	switch private.(type) {
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	case *ecdsa.PrivateKey:
		method = jwt.SigningMethodES256
	default:
		return "", fmt.Errorf("token: an issuer's key is Ed25519 or P-256, not %T", private)
	}
	t := jwt.NewWithClaims(method, jwt.MapClaims{
		"sub": c.Account, "aud": c.Audience, "iat": c.IssuedUnix, "exp": c.ExpiresUnix, "jti": c.ID,
	})
	t.Header["kid"] = issuer
	return t.SignedString(private)
}

// IssuerOf describes a public key (ed25519.PublicKey or *ecdsa.PublicKey on
// P-256) for the fleet's document.
func IssuerOf(id string, public crypto.PublicKey) (bundle.Issuer, error) {
	switch k := public.(type) {
	case ed25519.PublicKey:
		return bundle.Issuer{ID: id, Alg: bundle.EdDSA, Key: k}, nil
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err == nil && len(b) == 65 {
			return bundle.Issuer{ID: id, Alg: bundle.ES256, Key: b}, nil
		}
	}
	return bundle.Issuer{}, fmt.Errorf("token: an issuer's key is Ed25519 or P-256, not %T", public)
}
