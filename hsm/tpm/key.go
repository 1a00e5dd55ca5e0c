package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

const (
	wrapVersion     = 1
	privateBytesMin = 34 // no TPM's is shorter: an integrity value comes first
	privateBytesMax = 400

	// makeTriesMax: a TPM that leaves out leading zeros of coordinates makes a
	// key that the template does not give again once in 128 times.
	makeTriesMax = 5
)

// blob is a key as it lies outside the TPM. It is loaded only for one purpose,
// which is not in it.
type blob struct {
	point   [pointBytes]byte
	private []byte // a TPM2B_PRIVATE's bytes, encrypted by the TPM
}

// wrap gives version || group || point || private.
func wrap(b blob) []byte {
	out := append([]byte{wrapVersion, byte(hal.P256)}, b.point[:]...)
	return append(out, b.private...)
}

// unwrap undoes wrap, or gives hal.ErrWrapped. Whether the TPM made it, only
// the TPM can say.
func unwrap(wrapped []byte) (b blob, err error) {
	const header = 2 + pointBytes
	n := len(wrapped) - header
	if n < privateBytesMin || n > privateBytesMax || wrapped[0] != wrapVersion || wrapped[1] != byte(hal.P256) {
		return b, hal.ErrWrapped
	}
	b.point = [pointBytes]byte(wrapped[2:])
	b.private = wrapped[header:]
	return b, nil
}

// errUnfit: what the TPM makes is not what its template says.
var errUnfit = errors.New("tpm: the TPM does not make keys as it is asked to")

// make makes a key in the TPM.
func (a *attached) make(p purpose) (b blob, err error) {
	for range makeTriesMax {
		made, err := tpm2.Create{
			ParentHandle: a.parent(),
			InPublic:     tpm2.New2B(keyTemplate(p, coordinates(nil, nil))),
		}.Execute(a, a.answers)
		if err != nil {
			return b, err
		}
		point, err := publicPoint(&made.OutPublic)
		if err != nil {
			return b, err
		}
		expanded, err := expand(point)
		if err != nil {
			return b, err
		}
		if n := len(made.OutPrivate.Buffer); n < privateBytesMin || n > privateBytesMax {
			return b, fmt.Errorf("%w: a private area of %d bytes", errUnfit, n)
		}
		if same(&made.OutPublic, keyTemplate(p, expanded)) {
			return blob{[pointBytes]byte(point), made.OutPrivate.Buffer}, nil
		}
	}
	return b, errUnfit
}

// errLoad: the TPM does not take a blob: it made no such key under this
// storage key and for this purpose.
var errLoad = errors.New("tpm: not a key of this TPM and purpose")

// with loads an object, runs f with it and takes it out again, whatever
// happened: three forgotten ones would fill the TPM.
func (a *attached) with(public tpm2.TPMTPublic, private []byte, f func(tpm2.NamedHandle) error) (err error) {
	// The name is computed here, not taken from the TPM's answer: the HMAC of
	// what comes next covers it, so nobody on the way swaps the key.
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return err
	}
	loaded, err := tpm2.Load{
		ParentHandle: a.parent(),
		InPrivate:    tpm2.TPM2BPrivate{Buffer: private},
		InPublic:     tpm2.New2B(public),
	}.Execute(a)
	if aboutParameter(err) {
		return fmt.Errorf("%w: %w", errLoad, err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if _, flush := (tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}).Execute(a); flush != nil && a.broken == nil {
			// Not known what is loaded now: let the connection's end sweep.
			err = errors.Join(err, a.lose(flush))
		}
	}()
	return f(tpm2.NamedHandle{Handle: loaded.ObjectHandle, Name: *name})
}

// withKey loads a key for one purpose.
func (a *attached) withKey(p purpose, b blob, f func(tpm2.NamedHandle) error) error {
	public, err := expand(b.point[:])
	if err != nil {
		return errLoad
	}
	return a.with(keyTemplate(p, public), b.private, f)
}

// multiply is TPM2_ECDH_ZGen (Part 3 §14.5) with a key that is loaded for it.
func (a *attached) multiply(p purpose, b blob, point *tpm2.TPMSECCPoint) (product []byte, err error) {
	err = a.withKey(p, b, func(key tpm2.NamedHandle) error {
		z, err := tpm2.ECDHZGen{
			KeyHandle: tpm2.AuthHandle{Handle: key.Handle, Name: key.Name, Auth: a.answers},
			InPoint:   tpm2.New2B(*point),
		}.Execute(a)
		if err != nil {
			return err
		}
		whole, err := z.OutPoint.Contents()
		if err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		product, err = compress(whole)
		return err
	})
	return product, err
}

// MakeOPRFKey makes a key in the TPM and gives it out wrapped.
func (h *HSM) MakeOPRFKey(g hal.Group) (wrapped, public []byte, err error) {
	if g != hal.P256 {
		return nil, nil, hal.ErrGroup
	}
	err = h.do(func(a *attached) error {
		b, err := a.make(purposeOPRF)
		wrapped, public = wrap(b), b.point[:]
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return wrapped, public, nil
}

// MultiplyWrapped is the evaluation.
func (h *HSM) MultiplyWrapped(g hal.Group, wrapped, point []byte) (product []byte, err error) {
	if g != hal.P256 {
		return nil, hal.ErrWrapped
	}
	valid, err := expand(point)
	if err != nil {
		return nil, err
	}
	b, err := unwrap(wrapped)
	if err != nil {
		return nil, err
	}
	err = h.do(func(a *attached) error {
		product, err = a.multiply(purposeOPRF, b, valid)
		return asError(err, errLoad, hal.ErrWrapped)
	})
	return product, err
}

// MakeKey makes a named key and keeps it in the file.
func (h *HSM) MakeKey(name string, g hal.Group) (public []byte, err error) {
	if g != hal.P256 {
		return nil, hal.ErrGroup
	}
	return h.makeNamed(namedKey{name: name, use: useMultiply})
}

func (h *HSM) makeNamed(n namedKey) (public []byte, err error) {
	err = h.do(func(a *attached) error {
		if _, err := h.named(n.name); !errors.Is(err, hal.ErrNoKey) {
			return errors.Join(err, hal.ErrKeyExists)
		}
		if len(n.name) == 0 || len(n.name) > nameBytesMax {
			return ErrName
		}
		if n.key, err = a.make(n.purpose()); err != nil {
			return err
		}
		return h.keep(n)
	})
	if err != nil {
		return nil, err
	}
	return n.key.point[:], nil
}

// keep adds a key to the file.
func (h *HSM) keep(n namedKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return hal.ErrGone
	}
	if len(h.keys.named) == namedMax {
		return fmt.Errorf("%w: there are %d named keys", hal.ErrFull, namedMax)
	}
	before := h.keys.named
	h.keys.named = append(before[:len(before):len(before)], n)
	if err := h.save(); err != nil {
		h.keys.named = before
		return fmt.Errorf("%w: %w", errSave, err)
	}
	return nil
}

// named looks a key up.
func (h *HSM) named(name string) (n namedKey, err error) {
	err = h.hold(func() error {
		found, ok := h.keys.find(name)
		if !ok {
			return hal.ErrNoKey
		}
		n = found
		return nil
	})
	return n, err
}

// PublicKey is the public point of a named key.
func (h *HSM) PublicKey(name string) ([]byte, error) {
	n, err := h.named(name)
	if err != nil {
		return nil, err
	}
	return n.key.point[:], nil
}

// Multiply multiplies by a named key.
func (h *HSM) Multiply(name string, point []byte) (product []byte, err error) {
	valid, err := expand(point)
	if err != nil {
		return nil, err
	}
	err = h.useNamed(name, useMultiply, func(a *attached, n namedKey) error {
		product, err = a.multiply(n.purpose(), n.key, valid)
		return err
	})
	return product, err
}

// MultiplyX gives the product's x alone.
func (h *HSM) MultiplyX(name string, point []byte) ([]byte, error) {
	return hal.X(h.Multiply(name, point))
}

// useNamed runs f with a named key that has this use.
func (h *HSM) useNamed(name string, use byte, f func(*attached, namedKey) error) error {
	n, err := h.named(name)
	if err == nil && n.use != use {
		err = hal.ErrNoKey
	}
	if err != nil {
		return err
	}
	return h.do(func(a *attached) error {
		return asError(f(a, n), errLoad, fmt.Errorf("%w: the key %q does not load", ErrOther, name))
	})
}

// asError gives what in place of an error that is of the kind is.
func asError(err, is, what error) error {
	if errors.Is(err, is) {
		return what
	}
	return err
}
