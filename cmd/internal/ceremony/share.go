package ceremony

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"strongroom/protocol/bundle"
	"strongroom/vault"
	"strongroom/vault/hal"
)

// ErrShares: these shares do not give the key.
var ErrShares = errors.New("these shares do not give the key of the copy")

// field is the one whose scalars are shared: of ristretto255 (RFC 9496), whose
// arithmetic in circl does not depend on the secret, as that of P-256 does.
var field = group.Ristretto255

// Share is a custodian's part of the key of the copy (Shamir, 1979). Quorum of
// them give it, fewer say nothing of it.
type Share struct {
	Fleet  string `json:"fleet"`  // its id, hex
	Copy   Digest `json:"copy"`   // that it belongs to
	Quorum int    `json:"quorum"` // how many it takes
	ID     int    `json:"id"`     // the custodian's, from 1
	Low    []byte `json:"low"`    // of the two halves of the key: a scalar holds not quite 32 bytes
	High   []byte `json:"high"`
}

const halfBytes = hal.CopyKeyBytes / 2

// share gives the custodians a copy of the keys, and each a share of its key.
func (c *ceremony) share(document []byte, f *bundle.Fleet) (digest CopyDigest, err error) {
	first := c.seats[0]
	copied, key, err := vault.Copy(first.hsm, document, first.island)
	if err != nil {
		return digest, err
	}
	defer clear(key[:])
	c.files[CopyName] = copied
	digest.Copy = digestOf(copied)
	shares, err := split(key, c.plan.Quorum, len(c.cards))
	if err != nil {
		return digest, err
	}
	for i, share := range shares {
		share.Fleet, share.Copy = fmt.Sprintf("%x", f.ID), digest.Copy
		plaintext, err := json.Marshal(share)
		if err != nil {
			return digest, err
		}
		sealed, err := c.cards[i].sealTo(plaintext)
		if err != nil {
			return digest, err
		}
		c.files[ShareName(c.cards[i].Name)] = sealed
		digest.Shares = append(digest.Shares, digestOf(sealed))
	}
	c.did(fmt.Sprintf("wrapped a copy of the keys, for %d of %d custodians together", c.plan.Quorum, len(c.cards)), first, map[string]Digest{"copy": digest.Copy})
	return digest, nil
}

// split shares each half of the key, as a scalar.
func split(key [hal.CopyKeyBytes]byte, quorum, n int) (shares []Share, err error) {
	shares = make([]Share, n)
	for half := range 2 {
		secret, err := scalar(key[half*halfBytes:][:halfBytes])
		if err != nil {
			return nil, err
		}
		for i, s := range secretsharing.New(rand.Reader, uint(quorum-1), secret).Share(uint(n)) {
			value, err := s.Value.MarshalBinary()
			if err != nil {
				return nil, err
			}
			shares[i].ID, shares[i].Quorum = i+1, quorum
			*shares[i].half(half) = value
		}
	}
	return shares, nil
}

func (s *Share) half(n int) *[]byte { return []*[]byte{&s.Low, &s.High}[n] }

// scalar is a half of the key as a little-endian number, far below the order.
func scalar(half []byte) (group.Scalar, error) {
	wide := make([]byte, field.Params().ScalarLength)
	copy(wide, half)
	s := field.NewScalar()
	return s, s.UnmarshalBinary(wide)
}

// join gives the key from at least a quorum of shares of one copy. ErrShares.
func join(shares []Share) (key [hal.CopyKeyBytes]byte, err error) {
	if len(shares) == 0 || len(shares) < shares[0].Quorum || shares[0].Quorum < 1 {
		return key, fmt.Errorf("%w: %d were given", ErrShares, len(shares))
	}
	for i, s := range shares {
		if s.Fleet != shares[0].Fleet || s.Copy != shares[0].Copy || s.Quorum != shares[0].Quorum {
			return key, fmt.Errorf("%w: they are of two ceremonies", ErrShares)
		}
		if s.ID < 1 || slices.ContainsFunc(shares[:i], func(o Share) bool { return o.ID == s.ID }) {
			return key, fmt.Errorf("%w: share %d is given twice", ErrShares, s.ID)
		}
	}
	for half := range 2 {
		var points []secretsharing.Share
		for _, s := range shares {
			value := field.NewScalar()
			if err := value.UnmarshalBinary(*s.half(half)); err != nil {
				return key, fmt.Errorf("%w: share %d: %w", ErrShares, s.ID, err)
			}
			points = append(points, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.ID)), Value: value})
		}
		secret, err := secretsharing.Recover(uint(shares[0].Quorum-1), points)
		if err != nil {
			return key, fmt.Errorf("%w: %w", ErrShares, err)
		}
		wide, err := secret.MarshalBinary()
		if err != nil {
			return key, err
		}
		if slices.ContainsFunc(wide[halfBytes:], func(b byte) bool { return b != 0 }) {
			return key, fmt.Errorf("%w: one of them is damaged", ErrShares)
		}
		copy(key[half*halfBytes:], wide[:halfBytes])
	}
	return key, nil
}

// OpenShare opens the share that was sealed to a custodian. ErrShares.
func (c *Custodian) OpenShare(sealed []byte) (s Share, err error) {
	plaintext, err := ageOpen(sealed, c.reads)
	if err != nil {
		return s, fmt.Errorf("%w: it is not sealed to %q: %w", ErrShares, c.Card.Name, err)
	}
	defer clear(plaintext)
	if err := decode(plaintext, &s); err != nil {
		return s, fmt.Errorf("%w: %w", ErrShares, err)
	}
	return s, nil
}
