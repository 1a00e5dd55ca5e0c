//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/hmac"
	"fmt"

	"filippo.io/nistec"
	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// MakeOPRFKey generates a key pair in the token, takes it out wrapped, and
// destroys it. It is extractable for these three calls, by the wrapping key
// alone; whatever is unwrapped later is not.
func (h *HSM) MakeOPRFKey(g hal.Group) (wrapped, public []byte, err error) {
	if g != hal.P256 {
		return nil, nil, hal.ErrGroup
	}
	err = h.use(func(s *session) error {
		wrapped, public, err = s.makeWrapped(h.login.config.WrapMechanism)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return wrapped, public, nil
}

func (s *session) makeWrapped(wrapMechanism uint) (blob, public []byte, err error) {
	brief := attribute(p11.CKA_TOKEN, false)
	pub, private, err := s.generatePair(publicKey(brief), privateKey(true, false, brief))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = first(err, first(s.destroy(private), s.destroy(pub))) }()
	point, err := s.publicPoint(pub)
	if err != nil {
		return nil, nil, err
	}
	inner, err := s.wrap(wrapMechanism, s.keys.root().wrap, private)
	if err != nil {
		return nil, nil, err
	}
	if len(inner) < wrappedBytesMin || len(inner) > wrappedBytesMax {
		return nil, nil, fmt.Errorf("%w: a wrapped key of %d bytes", ErrAnswer, len(inner))
	}
	public = point.BytesCompressed()
	body := keyBlob{uint32(wrapMechanism), public, inner}.body()
	sum, err := s.sumBy(s.keys.root().wrapMAC, keyInput(body))
	return append(body, sum...), public, err
}

// unwrapped is the template of an evaluation key: usable, never readable.
var unwrapped = privateKey(false, false,
	attribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_EC), attribute(p11.CKA_TOKEN, false))

// MultiplyWrapped is the evaluation.
func (h *HSM) MultiplyWrapped(g hal.Group, wrapped, point []byte) (product []byte, err error) {
	k, body, sum, err := parseKey(g, wrapped)
	if err != nil {
		return nil, err
	}
	err = h.use(func(s *session) error {
		// The sum first: a swapped public element or a flipped byte gets no
		// evaluation, and no riddle of the token's.
		want, err := s.sumBy(s.keys.root().wrapMAC, keyInput(body))
		if err != nil {
			return err
		}
		if !hmac.Equal(want, sum) {
			return hal.ErrWrapped
		}
		if _, err := parsePoint(point); err != nil {
			return err
		}
		number, err := h.mechanism(k.mechanism)
		if err != nil {
			return err
		}
		product, err = s.evaluate(number, k, point)
		return err
	})
	return product, err
}

// evaluate unwraps into the token, multiplies and destroys.
func (s *session) evaluate(number uint, k keyBlob, point []byte) (product []byte, err error) {
	public, err := parsePoint(k.public)
	if err != nil {
		return nil, hal.ErrWrapped
	}
	private, err := s.unwrap(number, s.keys.root().wrap, k.wrapped, unwrapped)
	if err != nil {
		return nil, err
	}
	defer func() { err = first(err, s.destroy(private)) }()
	return multiply(s.deriver(private), public, point)
}

func (s *session) deriver(private object) derive {
	return func(point []byte) ([]byte, error) { return s.deriveX(private, point) }
}

// MakeKey makes a named key.
func (h *HSM) MakeKey(name string, g hal.Group) ([]byte, error) {
	if g != hal.P256 {
		return nil, hal.ErrGroup
	}
	return h.makeNamed(name, false)
}

func (h *HSM) makeNamed(name string, signs bool) ([]byte, error) {
	h.making.Lock()
	defer h.making.Unlock()
	tried := false
	if err := h.use(func(s *session) error { return s.makeNamed(name, signs, &tried) }); err != nil {
		return nil, err
	}
	return h.PublicKey(name)
}

// PublicKey is the public element of a named key.
func (h *HSM) PublicKey(name string) (public []byte, err error) {
	err = h.use(func(s *session) error {
		k, err := s.key(name)
		if err == nil {
			public = k.public.BytesCompressed()
		}
		return err
	})
	return public, err
}

// Multiply multiplies by a named key.
func (h *HSM) Multiply(name string, point []byte) ([]byte, error) {
	return h.multiplyNamed(name, func(ask derive, public *nistec.P256Point) ([]byte, error) {
		return multiply(ask, public, point)
	})
}

// MultiplyX needs no second derivation, which is for the sign of y.
func (h *HSM) MultiplyX(name string, point []byte) ([]byte, error) {
	return h.multiplyNamed(name, func(ask derive, _ *nistec.P256Point) ([]byte, error) {
		p, err := parsePoint(point)
		if err != nil {
			return nil, err
		}
		return ask.x(p)
	})
}

func (h *HSM) multiplyNamed(name string, by func(derive, *nistec.P256Point) ([]byte, error)) (product []byte, err error) {
	err = h.use(func(s *session) error {
		k, err := s.key(name)
		if err == nil && k.signs {
			err = hal.ErrNoKey
		}
		if err == nil {
			product, err = by(s.deriver(k.private), k.public)
		}
		return err
	})
	return product, err
}
