package soft

import (
	"crypto/hpke"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"

	"strongroom/hsm/internal/once"
	"strongroom/vault/hal"
)

// The keys pass through this process's memory, where this provider's keys
// always are: sealed to the other HSM's transfer key by HPKE (RFC 9180), or as
// package once seals, under the key that custodians share.
const (
	moveInfo  = "strongroom/v1/soft/move"
	copyLabel = "strongroom/v1/soft/copy"
)

// luggage is what moves. It is JSON, as the keyring is.
type luggage struct {
	Wrap  secret
	Named map[string]namedKey
	With  []byte // the secret that goes with them
}

func (luggage) String() string   { return "soft.luggage(hidden)" }
func (luggage) GoString() string { return "soft.luggage(hidden)" }

func transferSuite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.MLKEM768P256(), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// holdsIsland: the keyring has an island's keys, made here or moved in.
func (r *keyring) holdsIsland() bool {
	for _, k := range r.Named {
		if !k.Signs {
			return true
		}
	}
	return r.Wrap != secret{}
}

// MakeMovable draws a wrapping key that does not come from the root: the root
// never leaves.
func (h *HSM) MakeMovable() error {
	return h.change(func(r *keyring) error {
		if r.holdsIsland() {
			return hal.ErrLocked
		}
		r.Movable = true
		_, err := rand.Read(r.Wrap[:])
		return err
	})
}

// Lock ends it.
func (h *HSM) Lock() error {
	return h.change(func(r *keyring) error {
		r.Movable = false
		return nil
	})
}

// MakeTransferKey makes a key pair of MLKEM768-P256.
func (h *HSM) MakeTransferKey() (public []byte, err error) {
	kem, _, _ := transferSuite()
	private, err := kem.GenerateKey()
	if err != nil {
		return nil, err
	}
	return private.PublicKey().Bytes(), h.change(func(r *keyring) error {
		r.Transfer, err = private.Bytes()
		return err
	})
}

// Export seals the luggage to a transfer key.
func (h *HSM) Export(to, with []byte) (moved []byte, err error) {
	kem, kdf, aead := transferSuite()
	public, err := kem.NewPublicKey(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrMoved, err)
	}
	plaintext, err := h.pack(with)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	return hpke.Seal(public, kdf, aead, []byte(moveInfo), plaintext)
}

// Import undoes it.
func (h *HSM) Import(moved []byte) (with []byte, err error) {
	r, err := h.ring()
	if err != nil {
		return nil, err
	}
	kem, kdf, aead := transferSuite()
	private, err := kem.NewPrivateKey(r.Transfer)
	if err != nil {
		return nil, fmt.Errorf("%w: there is no transfer key", hal.ErrMoved)
	}
	plaintext, err := hpke.Open(private, kdf, aead, []byte(moveInfo), moved)
	if err != nil {
		return nil, hal.ErrMoved
	}
	return h.unpack(plaintext)
}

// Copy seals it under a random key.
func (h *HSM) Copy(with []byte) (copied []byte, key [hal.CopyKeyBytes]byte, err error) {
	plaintext, err := h.pack(with)
	if err != nil {
		return nil, key, err
	}
	defer clear(plaintext)
	if _, err := rand.Read(key[:]); err != nil {
		return nil, key, err
	}
	copied, err = once.Seal(&key, copyLabel, nil, plaintext)
	return copied, key, err
}

// ImportCopy undoes it.
func (h *HSM) ImportCopy(copied []byte, key [hal.CopyKeyBytes]byte) (with []byte, err error) {
	plaintext, err := once.Open(&key, copyLabel, nil, copied)
	if err != nil {
		return nil, hal.ErrMoved
	}
	return h.unpack(plaintext)
}

func (h *HSM) pack(with []byte) ([]byte, error) {
	r, err := h.ring()
	if err != nil {
		return nil, err
	}
	if !r.Movable {
		return nil, hal.ErrLocked
	}
	l := luggage{Wrap: r.Wrap, Named: map[string]namedKey{}, With: with}
	for name, k := range r.Named {
		if k.Moves { // the box's identity does not
			l.Named[name] = k
		}
	}
	return json.Marshal(l)
}

// unpack takes the luggage in, all or nothing.
func (h *HSM) unpack(plaintext []byte) (with []byte, err error) {
	defer clear(plaintext)
	var l luggage
	if err := json.Unmarshal(plaintext, &l); err != nil || l.Wrap == (secret{}) {
		return nil, fmt.Errorf("%w: another version made them", hal.ErrMoved)
	}
	return l.With, h.change(func(r *keyring) error {
		if r.holdsIsland() {
			return hal.ErrLocked
		}
		for name, k := range l.Named {
			if _, found := r.Named[name]; found {
				return fmt.Errorf("%w: %q", hal.ErrKeyExists, name)
			}
			k.Moves = false
			r.Named[name] = k
		}
		r.Wrap, r.Transfer = l.Wrap, nil
		return nil
	})
}

// ring is a copy of the keyring, or hal.ErrGone after Close.
func (h *HSM) ring() (keyring, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return keyring{}, hal.ErrGone
	}
	r := h.keys
	r.Named = maps.Clone(r.Named)
	return r, nil
}

// change puts a changed keyring in the old one's place, on the disk first: it
// holds afterwards, or nothing of it.
func (h *HSM) change(do func(*keyring) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return hal.ErrGone
	}
	r := h.keys
	r.Named = maps.Clone(r.Named)
	if err := do(&r); err != nil {
		return err
	}
	if err := h.saveKeys(r); err != nil {
		return err
	}
	h.keys = r
	return nil
}
