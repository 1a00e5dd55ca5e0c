//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/hmac"
	"crypto/rand"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// The key of an epoch is an AES-256 key in the token, never extractable;
// C_DestroyObject destroys it. All have one CKA_ID, by which they are listed.
// The label is the epoch's number and a random name, which the sum of a sealed
// value covers: so a value of a key that was destroyed is told from a fault of
// the token without asking the next key of that number to decrypt it.

const (
	epochsMax      = 16 // a token's room is small
	epochNameBytes = 16
)

var (
	epochID      = attribute(p11.CKA_ID, []byte("strongroom epoch"))
	errPlaintext = fmt.Errorf("pkcs11: an epoch key seals at most %d bytes", hal.EpochPlaintextMax)
)

type epochKey struct {
	object
	epoch uint64
	label string
}

func newEpochLabel(epoch uint64) (string, error) {
	name := make([]byte, epochNameBytes)
	_, err := rand.Read(name)
	return fmt.Sprintf("%s%d %x", epochName, epoch, name), err
}

// epochs lists what the token has.
func (s *session) epochs() (list []epochKey, err error) {
	found, err := s.findUpTo(2*epochsMax, template{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_TOKEN, true), epochID,
	})
	if err == nil && len(found) == 0 {
		err = s.present()
	}
	for _, o := range found {
		label, err := s.get(o, p11.CKA_LABEL)
		if err != nil {
			return nil, err
		}
		k := epochKey{object: o, label: string(label)}
		var name string
		if n, _ := fmt.Sscanf(k.label, epochName+"%d %s", &k.epoch, &name); n != 2 || len(name) != 2*epochNameBytes {
			return nil, fmt.Errorf("%w: an epoch key with the label %q", ErrObject, label)
		}
		list = append(list, k)
	}
	return list, err
}

// epoch finds the key of an epoch: exactly one, as single does.
func (s *session) epoch(epoch uint64) (epochKey, error) {
	list, err := s.epochs()
	if err != nil {
		return epochKey{}, err
	}
	list = slices.DeleteFunc(list, func(k epochKey) bool { return k.epoch != epoch })
	switch len(list) {
	case 0:
		return epochKey{}, hal.ErrNoKey
	case 1:
		return list[0], nil
	}
	return epochKey{}, fmt.Errorf("%w: there are two keys of epoch %d", ErrObject, epoch)
}

// MakeEpochKey generates the key of an epoch in the token.
func (h *HSM) MakeEpochKey(epoch uint64) error {
	h.making.Lock()
	defer h.making.Unlock()
	label, err := newEpochLabel(epoch)
	if err != nil {
		return err
	}
	return h.use(func(s *session) error {
		list, err := s.epochs()
		if err != nil {
			return err
		}
		for _, k := range list {
			if k.label == label {
				return nil // an earlier run's, whose answer was lost
			}
			if k.epoch == epoch {
				return hal.ErrKeyExists
			}
		}
		if len(list) >= epochsMax {
			return fmt.Errorf("%w: there are %d epoch keys; destroy one first", hal.ErrFull, epochsMax)
		}
		return s.generateRuled(append(secretKey(label, p11.CKK_AES, aesBytes, p11.CKA_ENCRYPT, p11.CKA_DECRYPT), epochID))
	})
}

// DestroyEpochKey destroys it in the token, and any other of its number.
func (h *HSM) DestroyEpochKey(epoch uint64) error {
	h.making.Lock()
	defer h.making.Unlock()
	return h.use(func(s *session) error {
		list, err := s.epochs()
		for _, k := range list {
			if k.epoch == epoch {
				err = first(err, s.destroy(k.object))
			}
		}
		return err
	})
}

// EpochKeys are the epochs whose keys exist.
func (h *HSM) EpochKeys() (epochs []uint64, err error) {
	err = h.use(func(s *session) error {
		list, err := s.epochs()
		epochs = nil
		for _, k := range list {
			epochs = append(epochs, k.epoch)
		}
		slices.Sort(epochs)
		return err
	})
	return epochs, err
}

// SealEpoch is AES-256-GCM (NIST SP 800-38D) in the token. One key seals a few
// values, so a random nonce is far from §8.3's limit of 2^32.
func (h *HSM) SealEpoch(epoch uint64, aad, plaintext []byte) (sealed []byte, err error) {
	if len(plaintext) > hal.EpochPlaintextMax {
		return nil, errPlaintext
	}
	err = h.use(func(s *session) error {
		key, err := s.epoch(epoch)
		if err != nil {
			return err
		}
		nonce := make([]byte, nonceBytes)
		if _, err := rand.Read(nonce); err != nil {
			return err
		}
		nonce, ciphertext, err := s.encryptWhole(key.object, nonce, aad, plaintext)
		if err != nil {
			return err
		}
		body := slices.Concat([]byte{blobVersion}, nonce, ciphertext)
		sum, err := s.sum(epochInput(key.label, aad, body))
		sealed = append(body, sum...)
		return err
	})
	return sealed, err
}

// OpenEpoch undoes SealEpoch, or gives hal.ErrSealed.
func (h *HSM) OpenEpoch(epoch uint64, aad, sealed []byte) (plaintext []byte, err error) {
	err = h.use(func(s *session) error {
		key, err := s.epoch(epoch)
		if err != nil {
			return err
		}
		if len(sealed) < 1+nonceBytes+tagBytes+macBytes || sealed[0] != blobVersion {
			return hal.ErrSealed
		}
		// The sum first: see Open.
		body, sum := sealed[:len(sealed)-macBytes], sealed[len(sealed)-macBytes:]
		want, err := s.sum(epochInput(key.label, aad, body))
		if err != nil {
			return err
		}
		if !hmac.Equal(want, sum) {
			return hal.ErrSealed
		}
		plaintext, err = s.decrypt(key.object, body[1:1+nonceBytes], aad, body[1+nonceBytes:])
		return err
	})
	return plaintext, err
}
