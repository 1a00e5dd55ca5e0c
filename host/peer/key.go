package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrKey: the bytes are no node key, or no pin.
var ErrKey = errors.New("peer: not a node's key")

// PinBytes is the length of a Pin.
const PinBytes = sha256.Size

// Pin is what other nodes know a node by: the SHA-256 of its public key, as
// SubjectPublicKeyInfo (RFC 5280 §4.1). No name and no date of a certificate
// counts.
type Pin [PinBytes]byte

func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// ParsePin reads what String gives, or gives ErrKey.
func ParsePin(s string) (p Pin, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != PinBytes {
		return p, fmt.Errorf("%w: a pin is %d hex digits", ErrKey, 2*PinBytes)
	}
	return Pin(b), nil
}

// pinOf is the pin of a certificate's key.
func pinOf(c *x509.Certificate) Pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// Key is a node's own key. It speaks for the node, never for its box: whoever
// has it can carry, drop and repeat what is sealed, as the node can.
type Key struct {
	Pin         Pin
	certificate tls.Certificate
}

const keyBlock = "PRIVATE KEY" // PKCS #8 (RFC 5958)

// GenerateKey makes a key: an Ed25519 key, as PEM for a file of mode 0600.
func GenerateKey() ([]byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// ParseKey reads what GenerateKey gave, or gives ErrKey.
func ParseKey(text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: not one PEM block %q", ErrKey, keyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: a %T, where Ed25519 is used", ErrKey, parsed)
	}
	return certify(private)
}

// certify wraps a key into what TLS carries it in. The certificate says
// nothing: it is signed by itself, at every start anew, and never expires.
func certify(private ed25519.PrivateKey) (*Key, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Key{pinOf(leaf), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}}, nil
}
