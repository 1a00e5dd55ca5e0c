package soft

import (
	"crypto/ecdh"
	"crypto/rand"

	"filippo.io/nistec"
	"github.com/gtank/ristretto255"

	"strongroom/vault/hal"
)

const p256PointBytes = 33

// draw gives a uniform, non-zero scalar.
func draw(g hal.Group) (s secret, err error) {
	switch g {
	case hal.P256:
		k, err := ecdh.P256().GenerateKey(rand.Reader) // rejects zero and what is not below the order
		if err != nil {
			return s, err
		}
		copy(s[:], k.Bytes())
	case hal.Ristretto255:
		k := ristretto255.NewScalar()
		for k.Equal(ristretto255.NewScalar()) == 1 {
			var wide [64]byte
			if _, err := rand.Read(wide[:]); err != nil {
				return s, err
			}
			if _, err := k.SetUniformBytes(wide[:]); err != nil {
				return s, err
			}
		}
		copy(s[:], k.Bytes())
	default:
		return s, hal.ErrGroup
	}
	return s, nil
}

// public is the scalar times the group's generator.
func public(g hal.Group, s secret) ([]byte, error) {
	switch g {
	case hal.P256:
		p, err := nistec.NewP256Point().ScalarBaseMult(s[:])
		if err != nil {
			return nil, err
		}
		return p.BytesCompressed(), nil
	case hal.Ristretto255:
		k, err := ristretto255.NewScalar().SetCanonicalBytes(s[:])
		if err != nil {
			return nil, err
		}
		return ristretto255.NewIdentityElement().ScalarBaseMult(k).Bytes(), nil
	}
	return nil, hal.ErrPoint
}

// multiply validates the point first: its one canonical encoding, on the
// curve, not the identity. An invalid one would tell about the scalar.
func multiply(g hal.Group, s secret, point []byte) ([]byte, error) {
	switch g {
	case hal.P256:
		if len(point) != p256PointBytes {
			return nil, hal.ErrPoint
		}
		p, err := nistec.NewP256Point().SetBytes(point)
		if err != nil {
			return nil, hal.ErrPoint
		}
		if p, err = p.ScalarMult(p, s[:]); err != nil {
			return nil, err
		}
		return p.BytesCompressed(), nil
	case hal.Ristretto255:
		e, err := ristretto255.NewIdentityElement().SetCanonicalBytes(point)
		if err != nil || e.Equal(ristretto255.NewIdentityElement()) == 1 {
			return nil, hal.ErrPoint
		}
		k, err := ristretto255.NewScalar().SetCanonicalBytes(s[:])
		if err != nil {
			return nil, err
		}
		return e.ScalarMult(k, e).Bytes(), nil
	}
	return nil, hal.ErrPoint
}
