package soft

import "strongroom/vault/hal"

const wrapVersion = 1

// wrapAAD binds a wrapped key to its form and group: one made for P-256 is
// never read as a scalar of another group.
func wrapAAD(g hal.Group) []byte { return []byte{wrapVersion, byte(g)} }

// MakeOPRFKey draws a scalar and gives it out only wrapped.
func (h *HSM) MakeOPRFKey(g hal.Group) (wrapped, pub []byte, err error) {
	wrap, err := h.wrapping()
	if err != nil {
		return nil, nil, err
	}
	s, err := draw(g)
	if err != nil {
		return nil, nil, err
	}
	if pub, err = public(g, s); err != nil {
		return nil, nil, err
	}
	sealed, err := sealOnce(wrap, wrapAAD(g), s[:])
	if err != nil {
		return nil, nil, err
	}
	return append(wrapAAD(g), sealed...), pub, nil
}

// MultiplyWrapped is the evaluation.
func (h *HSM) MultiplyWrapped(g hal.Group, wrapped, point []byte) ([]byte, error) {
	wrap, err := h.wrapping()
	if err != nil {
		return nil, err
	}
	if len(wrapped) < 2 || wrapped[0] != wrapVersion || wrapped[1] != byte(g) {
		return nil, hal.ErrWrapped
	}
	plain, err := openOnce(wrap, wrapAAD(g), wrapped[2:])
	if err != nil || len(plain) != len(secret{}) {
		return nil, hal.ErrWrapped
	}
	s := secret(plain)
	defer clear(plain)
	return multiply(g, s, point)
}

// MakeKey makes a named key and keeps it in the keyring.
func (h *HSM) MakeKey(name string, g hal.Group) ([]byte, error) { return h.makeNamed(name, g, false) }

func (h *HSM) makeNamed(name string, g hal.Group, signs bool) (pub []byte, err error) {
	err = h.change(func(r *keyring) error {
		if _, found := r.Named[name]; found {
			return hal.ErrKeyExists
		}
		s, err := draw(g)
		if err != nil {
			return err
		}
		if pub, err = public(g, s); err != nil {
			return err
		}
		r.Named[name] = namedKey{Group: g, Scalar: s, Signs: signs, Moves: r.Movable}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pub, nil
}

// wrapping is the key that wraps OPRF keys.
func (h *HSM) wrapping() (secret, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	switch {
	case h.closed:
		return secret{}, hal.ErrGone
	case h.keys.Wrap != secret{}:
		return h.keys.Wrap, nil
	}
	return h.subs.wrap, nil
}

func (h *HSM) named(name string) (namedKey, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return namedKey{}, hal.ErrGone
	}
	k, ok := h.keys.Named[name]
	if !ok {
		return namedKey{}, hal.ErrNoKey
	}
	return k, nil
}

// PublicKey is the public element of a named key.
func (h *HSM) PublicKey(name string) ([]byte, error) {
	k, err := h.named(name)
	if err != nil {
		return nil, err
	}
	return public(k.Group, k.Scalar)
}

// Multiply multiplies by a named key.
func (h *HSM) Multiply(name string, point []byte) ([]byte, error) {
	k, err := h.named(name)
	if err != nil {
		return nil, err
	}
	if k.Signs {
		return nil, hal.ErrNoKey
	}
	return multiply(k.Group, k.Scalar, point)
}

// MultiplyX gives the product's x alone.
func (h *HSM) MultiplyX(name string, point []byte) ([]byte, error) {
	return hal.X(h.Multiply(name, point))
}
