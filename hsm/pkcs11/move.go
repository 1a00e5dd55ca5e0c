//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// The keys of an island pass from token to token wrapped by AES keys that the
// first token makes, and the second unwraps by its RSA key: none is in this
// machine's memory in clear. (The key of a copy for custodians is.)
//
// An island's token has two keys that one of an island of one has not: these
// wrap OPRF keys, in the place of the root keys, which never leave. While the
// second can be taken out, the island's keys can.
const (
	islandWrapName = "strongroom island wrap"
	islandMACName  = "strongroom island mac"
	transferName   = "strongroom transfer"
	movableMax     = 64 // objects looked at
)

var extractable = attribute(p11.CKA_EXTRACTABLE, true)

// MakeMovable makes the two.
func (h *HSM) MakeMovable() error {
	h.making.Lock()
	defer h.making.Unlock()
	return h.use(func(s *session) error {
		if held, err := s.holdsIsland(); err != nil || held {
			return first(err, hal.ErrLocked)
		}
		if err := s.clear(labelled(p11.CKO_SECRET_KEY, islandWrapName)); err != nil { // of one that was interrupted
			return err
		}
		wrap := append(withoutExtractable(islandWrapKey()), extractable)
		if _, err := s.generateKey(append(wrap, attribute(p11.CKA_VALUE_LEN, aesBytes))); err != nil {
			return err
		}
		mac := append(withoutExtractable(islandMACKey()), extractable)
		_, err := s.generateMAC(append(mac, attribute(p11.CKA_VALUE_LEN, macKey)))
		s.keys.forget()
		return err
	})
}

// holdsIsland: the token wraps OPRF keys for an island, or has a key that
// multiplies.
func (s *session) holdsIsland() (bool, error) {
	macs, err := s.find(labelled(p11.CKO_SECRET_KEY, islandMACName))
	if err != nil || len(macs) > 0 {
		return true, err
	}
	named, err := s.findUpTo(movableMax, template{
		attribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_DERIVE, true),
	})
	return len(named) > 0, err
}

func islandWrapKey() template {
	return append(secretObject(islandWrapName, p11.CKK_AES, p11.CKA_WRAP, p11.CKA_UNWRAP), attribute(p11.CKA_ENCRYPT, false), attribute(p11.CKA_DECRYPT, false), neverOut())
}

func islandMACKey() template {
	return secretObject(islandMACName, p11.CKK_GENERIC_SECRET, p11.CKA_SIGN, p11.CKA_VERIFY)
}

// secretObject is a secret key that stays, without its length, which unwrapping
// must not be told.
func secretObject(label string, kind uint, uses ...uint) template {
	t := template{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, kind), attribute(p11.CKA_LABEL, label),
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
	}
	for _, use := range uses {
		t = append(t, attribute(use, true))
	}
	return t
}

func withoutExtractable(t template) template {
	return slices.DeleteFunc(t, func(a *p11.Attribute) bool { return a.Type == p11.CKA_EXTRACTABLE })
}

// movable says whether this token's island keys may leave it.
func (s *session) movable() (bool, error) {
	found, err := s.find(append(labelled(p11.CKO_SECRET_KEY, islandMACName), extractable))
	return len(found) > 0, err
}

func (s *session) clear(t template) error {
	found, err := s.findUpTo(movableMax, t)
	for _, o := range found {
		err = first(err, s.destroy(o))
	}
	return err
}

// Lock puts a copy that never leaves, changes or is copied in the place of each
// key that could be taken out: the one that says whether they may goes last.
func (h *HSM) Lock() error {
	h.making.Lock()
	defer h.making.Unlock()
	return h.use(func(s *session) error {
		named, err := s.movableNamed()
		if err != nil {
			return err
		}
		for _, o := range named {
			if err := s.lock(o); err != nil {
				return err
			}
		}
		for _, label := range []string{islandWrapName, islandMACName} {
			found, err := s.find(append(labelled(p11.CKO_SECRET_KEY, label), extractable))
			if err != nil {
				return err
			}
			for _, o := range found {
				if err := s.lock(o); err != nil {
					return err
				}
			}
		}
		s.keys.forget()
		return nil
	})
}

func (s *session) movableNamed() ([]object, error) {
	return s.findUpTo(movableMax, template{attribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), attribute(p11.CKA_TOKEN, true), extractable})
}

// lock is made again after an interruption: a locked key of this label is then
// there already, beside the one that it is a copy of.
func (s *session) lock(o object) error {
	label, err := s.get(o, p11.CKA_LABEL)
	if err != nil {
		return err
	}
	class, err := s.get(o, p11.CKA_CLASS)
	if err != nil {
		return err
	}
	done, err := s.find(template{
		attribute(p11.CKA_CLASS, class), attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, label), attribute(p11.CKA_EXTRACTABLE, false),
	})
	if err != nil {
		return err
	}
	if len(done) == 0 {
		made, err := s.copy(o, template{attribute(p11.CKA_EXTRACTABLE, false), attribute(p11.CKA_MODIFIABLE, false)})
		if err != nil {
			return err
		}
		out, err := s.get(made, p11.CKA_EXTRACTABLE)
		if err != nil {
			return err
		}
		if !bytes.Equal(out, []byte{0}) {
			return fmt.Errorf("%w: a copy that was asked to stay can be taken out", ErrAnswer)
		}
	}
	return s.destroy(o)
}

// MakeTransferKey makes an RSA pair, whose private half unwraps and does
// nothing else.
func (h *HSM) MakeTransferKey() (public []byte, err error) {
	h.making.Lock()
	defer h.making.Unlock()
	err = h.use(func(s *session) error {
		if err := first(s.clear(labelled(p11.CKO_PRIVATE_KEY, transferName)), s.clear(labelled(p11.CKO_PUBLIC_KEY, transferName))); err != nil {
			return err
		}
		place := template{attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, transferName)}
		pub, _, err := s.ctx.GenerateKeyPair(s.handle, mechanism(p11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil),
			append(place[:2:2], attribute(p11.CKA_MODULUS_BITS, transferBits), attribute(p11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}), attribute(p11.CKA_WRAP, true), attribute(p11.CKA_PRIVATE, false)),
			append(place[:2:2], attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false), attribute(p11.CKA_UNWRAP, true), attribute(p11.CKA_DECRYPT, false), attribute(p11.CKA_SIGN, false)))
		if err != nil {
			return answered("C_GenerateKeyPair (RSA)", err)
		}
		public, err = s.transferPublic(pub)
		return err
	})
	return public, err
}

func (s *session) transferPublic(o object) ([]byte, error) {
	modulus, err := s.get(o, p11.CKA_MODULUS)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537})
}

// oaep is RSA-OAEP (RFC 8017 §7.1) with SHA-1, the one hash that every token
// knows for it: OAEP asks no collision resistance of it.
func oaep() []*p11.Mechanism {
	return mechanism(p11.CKM_RSA_PKCS_OAEP, p11.NewOAEPParams(p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, nil))
}

// carrierKey wraps the luggage's keys for one journey.
func carrierKey(more ...*p11.Attribute) template {
	return append(template{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_AES), attribute(p11.CKA_TOKEN, false),
		attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true),
		attribute(p11.CKA_WRAP, true), attribute(p11.CKA_UNWRAP, true), attribute(p11.CKA_ENCRYPT, false), attribute(p11.CKA_DECRYPT, false),
	}, more...)
}

// Export wraps a carrier key, made in the token, to the transfer key.
func (h *HSM) Export(to, with []byte) (moved []byte, err error) {
	public, err := parseTransfer(to)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(to)
	err = h.use(func(s *session) error {
		if can, err := s.movable(); err != nil || !can {
			return first(err, hal.ErrLocked)
		}
		carrier, err := s.generateKey(carrierKey(extractable, attribute(p11.CKA_VALUE_LEN, aesBytes)))
		if err != nil {
			return err
		}
		defer func() { err = first(err, s.destroy(carrier)) }()
		transfer, err := s.create(template{
			attribute(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_RSA), attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_PRIVATE, false),
			attribute(p11.CKA_WRAP, true), attribute(p11.CKA_MODULUS, public.N.Bytes()), attribute(p11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
		})
		if err != nil {
			return err
		}
		defer func() { err = first(err, s.destroy(transfer)) }()
		wrapped, err := s.ctx.WrapKey(s.handle, oaep(), transfer, carrier)
		if err != nil {
			return answered("C_WrapKey (RSA-OAEP)", err)
		}
		moved, err = s.pack(h.login.config.WrapMechanism, carrier, luggageHeader{To: sum[:], Carrier: wrapped}, with)
		return err
	})
	return moved, err
}

// Copy is under a carrier key that is known.
func (h *HSM) Copy(with []byte) (copied []byte, key [hal.CopyKeyBytes]byte, err error) {
	if err := h.Random(key[:]); err != nil {
		return nil, key, err
	}
	err = h.use(func(s *session) error {
		if can, err := s.movable(); err != nil || !can {
			return first(err, hal.ErrLocked)
		}
		carrier, err := s.create(carrierKey(attribute(p11.CKA_VALUE, key[:])))
		if err != nil {
			return err
		}
		defer func() { err = first(err, s.destroy(carrier)) }()
		copied, err = s.pack(h.login.config.WrapMechanism, carrier, luggageHeader{To: copyCheck(key)}, with)
		return err
	})
	return copied, key, err
}

// pack wraps all by the carrier.
func (s *session) pack(number uint, carrier object, h luggageHeader, with []byte) (luggage []byte, err error) {
	h.Version, h.Mechanism = luggageVersion, uint32(number)
	if h.Wrap, err = s.wrap(number, carrier, s.keys.root().wrap); err != nil {
		return nil, err
	}
	if h.MAC, err = s.wrap(number, carrier, s.keys.root().wrapMAC); err != nil {
		return nil, err
	}
	named, err := s.movableNamed()
	if err != nil {
		return nil, err
	}
	for _, o := range named {
		k, err := s.packNamed(number, carrier, o)
		if err != nil {
			return nil, err
		}
		h.Named = append(h.Named, k)
	}
	once, err := s.generateKey(valueKey)
	if err != nil {
		return nil, err
	}
	defer func() { err = first(err, s.destroy(once)) }()
	if h.Secret, err = s.wrap(number, carrier, once); err != nil {
		return nil, err
	}
	header, err := h.encode()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, nonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	nonce, ciphertext, err := s.encryptWhole(once, nonce, header, with)
	if err != nil {
		return nil, err
	}
	return sealLuggage(header, nonce, ciphertext), nil
}

func (s *session) packNamed(number uint, carrier, o object) (k luggageKey, err error) {
	label, err := s.get(o, p11.CKA_LABEL)
	if err != nil {
		return k, err
	}
	name, multiplies := strings.CutPrefix(string(label), namedName)
	if !multiplies {
		if name, k.Signs = strings.CutPrefix(string(label), signsName); !k.Signs {
			return k, fmt.Errorf("%w: a key labelled %q can be taken out", ErrObject, label)
		}
	}
	known, err := s.key(name)
	if err != nil {
		return k, err
	}
	k.Name, k.Public = name, known.public.BytesCompressed()
	k.Wrapped, err = s.wrap(number, carrier, o)
	return k, err
}

// Import unwraps the carrier by the transfer key, which then goes.
func (h *HSM) Import(moved []byte) (with []byte, err error) {
	return h.unpack(moved, func(s *session, header luggageHeader) (carrier object, err error) {
		private, err := s.single(p11.CKO_PRIVATE_KEY, transferName)
		public, errPublic := s.single(p11.CKO_PUBLIC_KEY, transferName)
		if isNoObject(err) || isNoObject(errPublic) {
			return 0, first(s.present(), fmt.Errorf("%w: there is no transfer key", hal.ErrMoved))
		}
		if err = first(err, errPublic); err != nil {
			return 0, err
		}
		to, err := s.transferPublic(public)
		if err != nil {
			return 0, err
		}
		if sum := sha256.Sum256(to); !bytes.Equal(sum[:], header.To) {
			return 0, fmt.Errorf("%w: they were wrapped to another transfer key", hal.ErrMoved)
		}
		carrier, err = s.ctx.UnwrapKey(s.handle, oaep(), private, header.Carrier, carrierKey(attribute(p11.CKA_EXTRACTABLE, false)))
		return carrier, answered("C_UnwrapKey (RSA-OAEP)", err)
	})
}

// ImportCopy is given the carrier.
func (h *HSM) ImportCopy(copied []byte, key [hal.CopyKeyBytes]byte) (with []byte, err error) {
	return h.unpack(copied, func(s *session, header luggageHeader) (object, error) {
		if !bytes.Equal(header.To, copyCheck(key)) {
			return 0, hal.ErrMoved
		}
		return s.create(carrierKey(attribute(p11.CKA_VALUE, key[:]), attribute(p11.CKA_EXTRACTABLE, false)))
	})
}

func (h *HSM) unpack(luggage []byte, open func(*session, luggageHeader) (object, error)) (with []byte, err error) {
	header, aad, nonce, ciphertext, malformed := parseLuggage(luggage)
	h.making.Lock()
	defer h.making.Unlock()
	err = h.use(func(s *session) error {
		if malformed != nil {
			return malformed
		}
		number, err := h.mechanism(header.Mechanism)
		if err != nil {
			return fmt.Errorf("%w: %w", hal.ErrMoved, err)
		}
		carrier, err := open(s, header)
		if err != nil {
			return err
		}
		defer func() { err = first(err, s.destroy(carrier)) }()
		once, err := s.unwrap(number, carrier, header.Secret, unwrappedValueKey)
		if err != nil {
			return err
		}
		defer func() { err = first(err, s.destroy(once)) }()
		if with, err = s.decrypt(once, nonce, aad, ciphertext); err != nil {
			return err
		}
		if err := s.settle(number, carrier, header); err != nil {
			return err
		}
		return first(s.clear(labelled(p11.CKO_PRIVATE_KEY, transferName)), s.clear(labelled(p11.CKO_PUBLIC_KEY, transferName)))
	})
	if err != nil {
		return nil, err
	}
	return with, nil
}

// settle takes the keys in, all or nothing. The island's mac comes last: with
// it the token has an island.
func (s *session) settle(number uint, carrier object, h luggageHeader) (err error) {
	if held, err := s.holdsIsland(); err != nil || held {
		return first(err, hal.ErrLocked)
	}
	var made []object
	defer func() {
		if err != nil {
			for _, o := range made {
				_ = s.destroy(o)
			}
		}
		s.keys.forget()
	}()
	// In this order: SoftHSM2 takes no attribute after the one that ends changes.
	stays := []*p11.Attribute{attribute(p11.CKA_COPYABLE, false), attribute(p11.CKA_MODIFIABLE, false)}
	take := func(o object, failed error) error {
		if failed == nil {
			made = append(made, o)
		}
		return failed
	}
	for _, k := range h.Named {
		if _, err := s.key(k.Name); err == nil {
			return fmt.Errorf("%w: %q", hal.ErrKeyExists, k.Name)
		}
		point, err := parsePoint(k.Public)
		if err != nil {
			return hal.ErrMoved
		}
		label := nameLabel(k.Name, k.Signs)
		place := template{attribute(p11.CKA_KEY_TYPE, p11.CKK_EC), attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, label), attribute(p11.CKA_ID, []byte(label))}
		private := append(privateKey(false, k.Signs, append(place, attribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY))...), stays...)
		if err := take(s.unwrap(number, carrier, k.Wrapped, private)); err != nil {
			return err
		}
		encoded := append([]byte{octetString, uncompressedBytes}, point.Bytes()...)
		public := publicKey(append(place, attribute(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), attribute(p11.CKA_VERIFY, k.Signs), attribute(p11.CKA_EC_POINT, encoded))...)
		if err := take(s.create(public)); err != nil {
			return err
		}
	}
	if err := s.clear(labelled(p11.CKO_SECRET_KEY, islandWrapName)); err != nil {
		return err
	}
	if err := take(s.unwrap(number, carrier, h.Wrap, append(islandWrapKey(), stays...))); err != nil {
		return err
	}
	return take(s.unwrap(number, carrier, h.MAC, append(islandMACKey(), stays...)))
}
