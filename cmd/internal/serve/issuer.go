package serve

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
)

// makeIssuer makes the built-in issuer: an Ed25519 key in a file.
func makeIssuer(path string) (bundle.Issuer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return bundle.Issuer{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return bundle.Issuer{}, err
	}
	if err := WriteDurable(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return bundle.Issuer{}, err
	}
	return issuerOf(public, "")
}

// readIssuer reads the built-in issuer's key.
func readIssuer(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w is not here: this vault takes the tokens of the issuer whose public key it was made with. Ask that issuer", ErrIssuer)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w in %s is damaged", ErrIssuer, path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if private, is := key.(ed25519.PrivateKey); err == nil && is {
		return private, nil
	}
	return nil, fmt.Errorf("%w in %s is damaged", ErrIssuer, path)
}

// readIssuers reads public keys: PEM (PKIX) or a JWK set (RFC 7517).
func readIssuers(paths []string) (issuers []bundle.Issuer, err error) {
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrIssuer, err)
		}
		read, err := parseIssuers(b)
		if err != nil {
			return nil, fmt.Errorf("%w in %s: %w", ErrIssuer, path, err)
		}
		issuers = append(issuers, read...)
	}
	return issuers, nil
}

func parseIssuers(b []byte) (issuers []bundle.Issuer, err error) {
	var set struct{ Keys []jwk }
	if json.Unmarshal(b, &set) == nil {
		for _, k := range set.Keys {
			public, err := k.public()
			if err != nil {
				return nil, err
			}
			i, err := issuerOf(public, k.ID)
			if err != nil {
				return nil, err
			}
			issuers = append(issuers, i)
		}
	} else {
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			public, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, errors.New("a PEM block is not a public key (PUBLIC KEY, PKIX); never give a private key")
			}
			i, err := issuerOf(public, "")
			if err != nil {
				return nil, err
			}
			issuers = append(issuers, i)
		}
	}
	if len(issuers) == 0 {
		return nil, errors.New("it holds no public key; PEM and JWK sets are read")
	}
	return issuers, nil
}

// jwk is an RFC 8037 or RFC 7518 §6.2 public key.
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	ID    string `json:"kid"`
	X     string `json:"x"`
	Y     string `json:"y"`
	D     string `json:"d"`
}

func (k jwk) public() (any, error) {
	if k.D != "" {
		return nil, errors.New("a key of the set is private; give the public half only, and make a new key")
	}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if errX != nil || errY != nil {
		return nil, errors.New("a key's coordinates are not base64url")
	}
	switch {
	case k.Type == "OKP" && k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), nil
	case k.Type == "EC" && k.Curve == "P-256" && len(x) == 32 && len(y) == 32:
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	}
	return nil, fmt.Errorf("a key is %q on %q; Ed25519 and P-256 are taken", k.Type, k.Curve)
}

// issuerOf is a public key as the fleet document names it. Without a name of
// its own it is called after its hash.
func issuerOf(public any, id string) (bundle.Issuer, error) {
	i, err := token.IssuerOf(id, public)
	if err != nil {
		return i, err
	}
	if i.ID == "" {
		hash := sha256.Sum256(i.Key)
		i.ID = hex.EncodeToString(hash[:8])
	}
	return i, nil
}
