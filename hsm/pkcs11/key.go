//go:build pkcs11 && cgo

package pkcs11

import (
	"fmt"
	"slices"
	"sync"

	"filippo.io/nistec"
	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// Labels of our objects in the token. The mark is made last by Create: keys
// without it are what an interrupted Create left.
const (
	wrapName  = "strongroom wrap" // wraps OPRF keys
	sealName  = "strongroom seal" // wraps the keys of sealed values
	macName   = "strongroom mac"
	markName  = "strongroom"
	namedName = "strongroom key "         // and the name
	signsName = "strongroom signing key " // and the name
	epochName = "strongroom epoch "       // and the number
	markValue = "strongroom token 1"

	aesBytes = 32
	macKey   = 32
)

func memoryName(at int) string { return fmt.Sprintf("strongroom memory %d", at) }

// keys are handles under one login.
type keys struct {
	mu    sync.Mutex // guards what follows
	found bool
	roots
	named map[string]namedKey
}

// roots are the handles of the root keys. A ceremony has them looked up anew
// while other goroutines use them.
type roots struct {
	wrap, wrapMAC object // of OPRF keys; wrapMAC is mac in an island of one
	seal, mac     object
}

func (k *keys) root() roots {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.roots
}

type namedKey struct {
	private object
	public  *nistec.P256Point
	signs   bool // and multiplies nothing
}

func newKeys() *keys { return &keys{named: map[string]namedKey{}} }

// find looks the root keys up, once a login.
func (k *keys) find(s *session) (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.found {
		return nil
	}
	if k.wrap, err = s.single(p11.CKO_SECRET_KEY, wrapName); err != nil {
		return err
	}
	if k.seal, err = s.single(p11.CKO_SECRET_KEY, sealName); err != nil {
		return err
	}
	if k.mac, err = s.single(p11.CKO_SECRET_KEY, macName); err != nil {
		return err
	}
	k.wrapMAC = k.mac
	island, err := s.find(labelled(p11.CKO_SECRET_KEY, islandMACName))
	if err == nil && len(island) > 0 {
		if k.wrap, err = s.single(p11.CKO_SECRET_KEY, islandWrapName); err == nil {
			k.wrapMAC, err = s.single(p11.CKO_SECRET_KEY, islandMACName)
		}
	}
	k.found = err == nil
	return err
}

// forget has the keys looked up again.
func (k *keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found, k.named = false, map[string]namedKey{}
}

func labelled(class uint, label string) template {
	return template{attribute(p11.CKA_CLASS, class), attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, label)}
}

// single finds an object of ours: exactly one, for who can write to the token
// could set a second one beside it.
func (s *session) single(class uint, label string) (object, error) {
	found, err := s.find(labelled(class, label))
	if err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: %q is not there", errNoObject, label)
	case 1:
		return found[0], nil
	}
	if class != p11.CKO_DATA { // what an interrupted Lock leaves beside its copy
		locked, err := s.find(append(labelled(class, label), attribute(p11.CKA_EXTRACTABLE, false)))
		if err != nil || len(locked) == 1 && len(found) == 2 {
			return append(locked, 0)[0], err
		}
	}
	return 0, fmt.Errorf("%w: there are two of %q", ErrObject, label)
}

// present fails if the token lost its root keys: then nothing else that is
// missing says anything.
func (s *session) present() error { return newKeys().find(s) }

// secretKey is the template of a root key, which never leaves the token.
func secretKey(label string, kind, length uint, uses ...uint) template {
	t := template{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, kind),
		attribute(p11.CKA_VALUE_LEN, length), attribute(p11.CKA_LABEL, label),
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true),
		attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
	}
	for _, use := range []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT} {
		t = append(t, attribute(use, slices.Contains(uses, use)))
	}
	for _, use := range uses {
		if use != p11.CKA_ENCRYPT && use != p11.CKA_DECRYPT {
			t = append(t, attribute(use, true))
		}
	}
	return t
}

// makeRoot makes what Open wants to find, the mark last.
func makeRoot(s *session) error {
	for _, label := range []string{wrapName, sealName} {
		if err := s.generateWrapping(label); err != nil {
			return err
		}
	}
	if _, err := s.generateMAC(secretKey(macName, p11.CKK_GENERIC_SECRET, macKey, p11.CKA_SIGN, p11.CKA_VERIFY)); err != nil {
		return err
	}
	for at := range slotsCount {
		if _, err := s.create(append(dataObject(memoryName(at), slotEmpty), lasting...)); err != nil {
			return err
		}
	}
	_, err := s.create(append(dataObject(markName, []byte(markValue)), lasting...))
	return err
}

// dataObject is the template of a data object, lasting or drafted.
func dataObject(label string, value []byte) template {
	return template{
		attribute(p11.CKA_CLASS, p11.CKO_DATA), attribute(p11.CKA_LABEL, label), attribute(p11.CKA_APPLICATION, "strongroom"),
		attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_VALUE, value),
	}
}

var (
	lasting = template{attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_MODIFIABLE, false)}
	drafted = template{attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_MODIFIABLE, true)} // ends with its session
)

// clearRoot takes away what an interrupted Create left: without the mark no
// vault was ever made with it.
func clearRoot(s *session) error {
	left := []template{
		labelled(p11.CKO_SECRET_KEY, wrapName), labelled(p11.CKO_SECRET_KEY, sealName), labelled(p11.CKO_SECRET_KEY, macName),
		labelled(p11.CKO_DATA, memoryName(0)), labelled(p11.CKO_DATA, memoryName(1)),
	}
	for _, t := range left {
		found, err := s.find(t)
		if err != nil {
			return err
		}
		for _, o := range found {
			if err := s.destroy(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func publicKey(t ...*p11.Attribute) template {
	return append(template{attribute(p11.CKA_EC_PARAMS, p256Parameters), attribute(p11.CKA_PRIVATE, false)}, t...)
}

// privateKey is for ECDH or for signing, never for both.
func privateKey(extractable, signs bool, t ...*p11.Attribute) template {
	return append(template{
		attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, extractable),
		attribute(p11.CKA_DERIVE, !signs), attribute(p11.CKA_SIGN, signs),
	}, t...)
}

func nameLabel(name string, signs bool) string {
	if signs {
		return signsName + name
	}
	return namedName + name
}

// makeNamed generates a named key, which never leaves the token. tried is kept
// over a second run: a key that was not there before the first is its own, and
// not another's of the same name.
func (s *session) makeNamed(name string, signs bool, tried *bool) error {
	for _, use := range []bool{signs, !signs} {
		found, err := s.find(labelled(p11.CKO_PRIVATE_KEY, nameLabel(name, use)))
		if err != nil {
			return err
		}
		if len(found) > 0 && *tried && use == signs {
			return nil
		}
		if len(found) > 0 {
			return hal.ErrKeyExists
		}
	}
	moves, err := s.movable()
	if err != nil {
		return err
	}
	*tried = true
	label := nameLabel(name, signs)
	place := []*p11.Attribute{attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_LABEL, label), attribute(p11.CKA_ID, []byte(label))}
	public := publicKey(append(place, attribute(p11.CKA_VERIFY, signs))...)
	_, _, err = s.generatePair(public, privateKey(moves, signs, place...))
	return err
}

// key looks a named key of either kind up, once a login.
func (s *session) key(name string) (namedKey, error) {
	s.keys.mu.Lock()
	k, known := s.keys.named[name]
	s.keys.mu.Unlock()
	if known {
		return k, nil
	}
	k, err := s.lookUp(name, false)
	if isNoObject(err) {
		k, err = s.lookUp(name, true)
	}
	if isNoObject(err) {
		return namedKey{}, first(s.present(), hal.ErrNoKey)
	}
	if err != nil {
		return namedKey{}, err
	}
	s.keys.mu.Lock()
	s.keys.named[name] = k
	s.keys.mu.Unlock()
	return k, nil
}

func (s *session) lookUp(name string, signs bool) (k namedKey, err error) {
	label := nameLabel(name, signs)
	if k.private, err = s.single(p11.CKO_PRIVATE_KEY, label); err != nil {
		return k, err
	}
	public, err := s.single(p11.CKO_PUBLIC_KEY, label)
	if isNoObject(err) {
		return k, fmt.Errorf("%w: the public half of %q is not there", ErrObject, name)
	}
	if err != nil {
		return k, err
	}
	if k.public, err = s.publicPoint(public); err != nil {
		return k, err
	}
	if k.signs = signs; signs {
		return k, nil // each signature is looked at
	}
	return k, s.checkPair(k)
}

// checkPair asks the private half for x(k·G): a public object that someone
// swapped would turn the sign of every product.
func (s *session) checkPair(k namedKey) error {
	x, err := s.deriver(k.private).x(nistec.NewP256Point().SetGenerator())
	if err != nil {
		return err
	}
	if string(x) != string(k.public.BytesCompressed()[1:]) {
		return fmt.Errorf("%w: the halves of a key do not belong together", ErrObject)
	}
	return nil
}

func (s *session) publicPoint(public object) (*nistec.P256Point, error) {
	encoded, err := s.get(public, p11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return parseTokenPoint(encoded)
}
