package opaque

import (
	"crypto"
	"crypto/hkdf"
	"crypto/hmac"
	_ "crypto/sha256" // registers crypto.SHA256
	_ "crypto/sha512" // registers crypto.SHA512
	"io"
)

// Suite is a configuration of RFC 9807 §7 without its stretching and context:
// one group for OPRF and AKE, and HKDF, HMAC and a hash over the same
// function. The two suites are the only values.
type Suite struct {
	id           uint8
	name         string // RFC 9497 §4, identifier of the OPRF suite
	group        group
	hash         crypto.Hash
	elementBytes int // Npk = Noe
	scalarBytes  int // Nsk = Nok
	hashBytes    int // Nh = Nm = Nx
}

// The suites, by the numbers that a fleet document names them with.
var (
	P256SHA256 = &Suite{id: 1, name: "P256-SHA256", group: p256{}, hash: crypto.SHA256,
		elementBytes: 33, scalarBytes: 32, hashBytes: 32}
	Ristretto255SHA512 = &Suite{id: 2, name: "ristretto255-SHA512", group: ristretto{}, hash: crypto.SHA512,
		elementBytes: 32, scalarBytes: 32, hashBytes: 64}
)

// Lengths that all suites share, in bytes (RFC 9807 §2).
const (
	nonceBytes    = 32        // Nn
	seedBytes     = 32        // Nseed
	fieldBytesMax = 1<<16 - 1 // a password, context or identity has a 2-byte length
	seedMax       = 256       // counters that DeriveKeyPair tries (RFC 9497 §3.2.1)
)

// SuiteByID gives the suite of a number, or ErrSuite.
func SuiteByID(id uint8) (*Suite, error) {
	for _, s := range []*Suite{P256SHA256, Ristretto255SHA512} {
		if s.id == id {
			return s, nil
		}
	}
	return nil, ErrSuite
}

// ID is the suite's number.
func (s *Suite) ID() uint8 { return s.id }

// String is the OPRF identifier of RFC 9497: "P256-SHA256".
func (s *Suite) String() string { return s.name }

// GenerateKey draws a key pair: a scalar for SoftMultiplier, and its public
// element.
func (s *Suite) GenerateKey(rand io.Reader) (private, public []byte, err error) {
	k, err := randomScalar(s.group, rand)
	if err != nil {
		return nil, nil, err
	}
	return k, s.group.base(k).bytes(), nil
}

// extract is HKDF-Extract with an empty salt, as RFC 9807 always calls it.
func (s *Suite) extract(secret ...[]byte) []byte {
	return must(hkdf.Extract(s.hash.New, concat(secret...), nil))
}

// expand is HKDF-Expand with info = context || label.
func (s *Suite) expand(key, context []byte, label string, n int) []byte {
	return must(hkdf.Expand(s.hash.New, key, string(context)+label, n))
}

func (s *Suite) mac(key []byte, message ...[]byte) []byte {
	h := hmac.New(s.hash.New, key)
	for _, m := range message {
		h.Write(m)
	}
	return h.Sum(nil)
}

func (s *Suite) sum(message ...[]byte) []byte {
	h := s.hash.New()
	for _, m := range message {
		h.Write(m)
	}
	return h.Sum(nil)
}
