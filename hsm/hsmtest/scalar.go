package hsmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"strongroom/vault/hal"
)

// MakeOPRFKey makes a wrapped key: nonce || AES-256-GCM(scalar).
func (m *Memory) MakeOPRFKey(g hal.Group) (wrapped, public []byte, err error) {
	if g != hal.P256 {
		return nil, nil, hal.ErrGroup
	}
	err = m.step(false, func(c *chip) error {
		scalar, err := drawScalar(c.rand)
		if err != nil {
			return err
		}
		if public, err = publicPoint(scalar); err != nil {
			return err
		}
		wrapped, err = sealValue(c.rand, c.keys.wrap, nil, scalar)
		return err
	})
	return wrapped, public, err
}

// MultiplyWrapped counts, then evaluates.
func (m *Memory) MultiplyWrapped(g hal.Group, wrapped, point []byte) (product []byte, err error) {
	var scalar []byte
	err = m.step(false, func(c *chip) (err error) {
		if g != hal.P256 {
			return hal.ErrWrapped
		}
		scalar, err = openValue(c.keys.wrap, nil, wrapped, hal.ErrWrapped)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.chip.keys.note(Evaluation{string(wrapped), string(point)})
	return multiplyPoint(scalar, point)
}

// MakeKey makes a named key.
func (m *Memory) MakeKey(name string, g hal.Group) ([]byte, error) {
	if g != hal.P256 {
		return nil, hal.ErrGroup
	}
	return m.makeNamed(name, false)
}

// MakeSigningKey makes a named key that signs.
func (m *Memory) MakeSigningKey(name string) ([]byte, error) { return m.makeNamed(name, true) }

func (m *Memory) makeNamed(name string, signs bool) (public []byte, err error) {
	err = m.step(true, func(c *chip) error {
		where := c.named
		if moved(name) {
			c.keys.mu.Lock()
			defer c.keys.mu.Unlock()
			where = c.keys.named
		}
		if _, found := where[name]; found {
			return hal.ErrKeyExists
		}
		scalar, err := drawScalar(c.rand)
		if err != nil {
			return err
		}
		where[name] = key{scalar, signs}
		public, err = publicPoint(scalar)
		return err
	})
	return public, err
}

// find gives a named key.
func (m *Memory) find(name string) (k key, err error) {
	err = m.step(false, func(c *chip) error {
		where := c.named
		if moved(name) {
			c.keys.mu.Lock()
			defer c.keys.mu.Unlock()
			where = c.keys.named
		}
		found := false
		if k, found = where[name]; !found {
			return hal.ErrNoKey
		}
		return nil
	})
	return k, err
}

// PublicKey gives a named key's public point.
func (m *Memory) PublicKey(name string) ([]byte, error) {
	k, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return publicPoint(k.scalar)
}

// Multiply multiplies by a named key.
func (m *Memory) Multiply(name string, point []byte) ([]byte, error) {
	k, err := m.find(name)
	if err != nil {
		return nil, err
	}
	if k.signs {
		return nil, hal.ErrNoKey
	}
	return multiplyPoint(k.scalar, point)
}

// MultiplyX gives the product's x alone.
func (m *Memory) MultiplyX(name string, point []byte) ([]byte, error) {
	return hal.X(m.Multiply(name, point))
}

// Sign signs deterministically (RFC 6979), so that a test can be run again.
func (m *Memory) Sign(name string, digest [32]byte) ([]byte, error) {
	k, err := m.find(name)
	if err != nil {
		return nil, err
	}
	if !k.signs {
		return nil, hal.ErrNoKey
	}
	signer, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), k.scalar)
	if err != nil {
		return nil, err
	}
	der, err := signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	rs.R.FillBytes(signature[:32])
	rs.S.FillBytes(signature[32:])
	return signature, nil
}
