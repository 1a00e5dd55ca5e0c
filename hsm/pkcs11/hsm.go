//go:build pkcs11 && cgo

package pkcs11

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// errNoObject: a search found nothing.
var errNoObject = errors.New("pkcs11: not in the token")

func isNoObject(err error) bool { return errors.Is(err, errNoObject) }

// HSM is one token that is logged in to.
type HSM struct {
	login *login

	open   sync.RWMutex // held for reading by each call, for writing by Close
	closed bool

	making  sync.Mutex  // one key or epoch at a time is made: it looks first, then makes
	writing sync.Mutex  // guards memory
	memory  pair.Memory // of two data objects
}

var _ hal.Mover = (*HSM)(nil)

// Create makes the vault's root keys in a token that the vendor's tool
// initialised, and which holds none yet (ErrExists).
func Create(c Config) (hal.HAL, error) { return start(c, create) }

// Open uses the token of a vault. A wrong PIN is hal.ErrSecret, a token that is
// not there ErrToken, one without a vault ErrMissing.
func Open(c Config) (hal.HAL, error) { return start(c, look) }

func start(c Config, prepare func(*session) error) (hal.HAL, error) {
	c, err := c.settled()
	if err != nil {
		return nil, err
	}
	l, err := openLogin(c)
	if err != nil {
		return nil, entrance(err)
	}
	s, err := l.take()
	if err == nil {
		err = prepare(s)
		l.give(s, err)
	}
	if err != nil {
		_ = l.close() // its errors would be echoes
		return nil, entrance(err)
	}
	h := &HSM{login: l}
	if _, err := h.ReadMemory(); err != nil {
		return nil, first(err, h.Close())
	}
	return h, nil
}

// entrance explains what kept us out.
func entrance(err error) error {
	if what := meaning(err); what != nil {
		return fmt.Errorf("%w: %w%s", what, err, advice(err))
	}
	return err
}

func create(s *session) error {
	marks, err := s.find(labelled(p11.CKO_DATA, markName))
	if err != nil {
		return err
	}
	if len(marks) > 0 {
		return ErrExists
	}
	if err := clearRoot(s); err != nil {
		return err
	}
	if err := makeRoot(s); err != nil {
		return err
	}
	return s.keys.find(s)
}

func look(s *session) error {
	mark, err := s.single(p11.CKO_DATA, markName)
	if isNoObject(err) {
		return ErrMissing
	}
	if err != nil {
		return err
	}
	value, err := s.get(mark, p11.CKA_VALUE)
	if err != nil {
		return err
	}
	if string(value) != markValue {
		return fmt.Errorf("%w: it was made by another version", ErrObject)
	}
	return s.keys.find(s)
}

// use runs a call while the HSM is open.
func (h *HSM) use(call func(*session) error) error {
	h.open.RLock()
	defer h.open.RUnlock()
	if h.closed {
		return hal.ErrGone
	}
	return h.login.use(call)
}

// Kind names the provider.
func (h *HSM) Kind() string { return Kind }

// Random mixes the token's generator with the operating system's: the result
// is as good as the better of the two.
func (h *HSM) Random(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return h.use(func(s *session) error {
		b, err := s.ctx.GenerateRandom(s.handle, len(p))
		if err != nil {
			return answered("C_GenerateRandom", err)
		}
		if len(b) != len(p) {
			return fmt.Errorf("%w: %d random bytes of %d", ErrAnswer, len(b), len(p))
		}
		if _, err := rand.Read(p); err != nil {
			return err
		}
		subtle.XORBytes(p, p, b)
		return nil
	})
}

// Close logs out and lets the token be opened again.
func (h *HSM) Close() error {
	h.open.Lock()
	defer h.open.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	return h.login.close()
}

// mechanism is the one that a blob names, after its sum was found right: this
// only keeps out what another configuration wrote.
func (h *HSM) mechanism(named uint32) (uint, error) {
	known := []uint{WrapAES, WrapAESPad, WrapAESKWP, h.login.config.WrapMechanism}
	if !slices.Contains(known, uint(named)) {
		return 0, fmt.Errorf("%w: it was wrapped by mechanism %#x; set that one", ErrObject, named)
	}
	return uint(named), nil
}
