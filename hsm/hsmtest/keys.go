package hsmtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"io"
	"slices"
	"sync"

	"filippo.io/nistec"

	"strongroom/vault/hal"
)

// movedKeys are the names of the keys that a ceremony moves from an island's
// first HSM to the others (vault/island.go). All others are each HSM's own.
var movedKeys = []string{"channel", "ake", "status"}

// Keys are what the HSMs of one island have in common: the moved keys, the one
// that wraps OPRF keys and the one of Seal. It also counts what is evaluated
// under them, at whichever HSM.
type Keys struct {
	wrap, seal cipher.AEAD

	mu    sync.Mutex // guards what follows
	named map[string]key
	seen  map[Evaluation]bool

	// Evaluated, unless nil, hears of each evaluation before it is made.
	Evaluated func(Evaluation)
}

// Evaluation is a pair of wrapped key and point. The same pair again tells
// nobody anything new.
type Evaluation struct{ Wrapped, Point string }

// key is a named key: a P-256 scalar, and its use.
type key struct {
	scalar []byte
	signs  bool
}

// NewKeys draws them.
func NewKeys(rand io.Reader) *Keys {
	return &Keys{wrap: newAEAD(rand), seal: newAEAD(rand), named: map[string]key{}, seen: map[Evaluation]bool{}}
}

// Evaluations is the number of distinct evaluations so far, as Counter's.
func (k *Keys) Evaluations() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.seen)
}

func (k *Keys) note(e Evaluation) {
	k.mu.Lock()
	k.seen[e] = true
	k.mu.Unlock()
	if k.Evaluated != nil {
		k.Evaluated(e)
	}
}

func moved(name string) bool { return slices.Contains(movedKeys, name) }

// newAEAD draws an AES-256-GCM key.
func newAEAD(rand io.Reader) cipher.AEAD {
	var k [32]byte
	if _, err := io.ReadFull(rand, k[:]); err != nil {
		panic(err) // of a test's own generator
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// sealValue gives nonce || ciphertext, under a random nonce: a test seals few.
func sealValue(rand io.Reader, a cipher.AEAD, aad, plaintext []byte) ([]byte, error) {
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(plaintext)+a.Overhead())
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, err
	}
	return a.Seal(nonce, nonce, plaintext, aad), nil
}

// openValue gives the plaintext, or why.
func openValue(a cipher.AEAD, aad, sealed []byte, why error) ([]byte, error) {
	if len(sealed) < a.NonceSize() {
		return nil, why
	}
	plaintext, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], aad)
	if err != nil {
		return nil, why
	}
	return plaintext, nil
}

// drawScalar draws from 1 to the order of P-256 less one (FIPS 186-5 A.2.2).
// The standard library's generators take no other source than the system's.
func drawScalar(rand io.Reader) ([]byte, error) {
	for {
		k := make([]byte, 32)
		if _, err := io.ReadFull(rand, k); err != nil {
			return nil, err
		}
		if _, err := ecdh.P256().NewPrivateKey(k); err == nil {
			return k, nil
		}
	}
}

func publicPoint(scalar []byte) ([]byte, error) {
	p, err := nistec.NewP256Point().ScalarBaseMult(scalar)
	if err != nil {
		return nil, err
	}
	return p.BytesCompressed(), nil
}

func multiplyPoint(scalar, point []byte) ([]byte, error) {
	if len(point) != 33 {
		return nil, hal.ErrPoint
	}
	p, err := nistec.NewP256Point().SetBytes(point)
	if err != nil {
		return nil, hal.ErrPoint
	}
	if p, err = p.ScalarMult(p, scalar); err != nil {
		return nil, err
	}
	return p.BytesCompressed(), nil
}
