//go:build pkcs11 && cgo

package pkcs11

import (
	"errors"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

func TestFaults(t *testing.T) {
	store(t)
	hsmtest.RunFaults(t, &maker{})
}

// line lets a judge in before each call of the module.
type line struct {
	cryptoki
	judge func() hsmtest.Fault
	lost  *int // answers, which sound in two ways
}

// step makes one call. A line that is cut shows as a session that is no more;
// an answer that is lost as one, or as a device, that went away meanwhile.
func (l line) step(room bool, call func() error) error {
	f := l.judge()
	time.Sleep(f.Wait)
	switch {
	case f.Kind == hsmtest.Cut:
		return p11.Error(p11.CKR_SESSION_HANDLE_INVALID)
	case f.Kind == hsmtest.Lost:
		_ = call()
		if *l.lost++; *l.lost%2 == 0 {
			return p11.Error(p11.CKR_DEVICE_REMOVED)
		}
		return p11.Error(p11.CKR_SESSION_CLOSED)
	case f.Kind == hsmtest.Full && room:
		return p11.Error(p11.CKR_DEVICE_MEMORY)
	}
	return call()
}

// durable says whether an object is to stay in the token.
func durable(t template) bool {
	for _, a := range t {
		if a.Type == p11.CKA_TOKEN {
			return a.Value[0] == 1
		}
	}
	return false
}

func (l line) OpenSession(slot, flags uint) (h p11.SessionHandle, err error) {
	err = l.step(false, func() error { h, err = l.cryptoki.OpenSession(slot, flags); return err })
	return h, err
}

func (l line) GetSessionInfo(s p11.SessionHandle) (i p11.SessionInfo, err error) {
	err = l.step(false, func() error { i, err = l.cryptoki.GetSessionInfo(s); return err })
	return i, err
}

func (l line) Login(s p11.SessionHandle, user uint, pin string) error {
	return l.step(false, func() error { return l.cryptoki.Login(s, user, pin) })
}

func (l line) FindObjectsInit(s p11.SessionHandle, t []*p11.Attribute) error {
	return l.step(false, func() error { return l.cryptoki.FindObjectsInit(s, t) })
}

func (l line) FindObjects(s p11.SessionHandle, max int) (o []p11.ObjectHandle, more bool, err error) {
	err = l.step(false, func() error { o, more, err = l.cryptoki.FindObjects(s, max); return err })
	return o, more, err
}

func (l line) FindObjectsFinal(s p11.SessionHandle) error {
	return l.step(false, func() error { return l.cryptoki.FindObjectsFinal(s) })
}

func (l line) GetAttributeValue(s p11.SessionHandle, o p11.ObjectHandle, t []*p11.Attribute) (a []*p11.Attribute, err error) {
	err = l.step(false, func() error { a, err = l.cryptoki.GetAttributeValue(s, o, t); return err })
	return a, err
}

func (l line) CreateObject(s p11.SessionHandle, t []*p11.Attribute) (o p11.ObjectHandle, err error) {
	err = l.step(durable(t), func() error { o, err = l.cryptoki.CreateObject(s, t); return err })
	return o, err
}

func (l line) CopyObject(s p11.SessionHandle, from p11.ObjectHandle, t []*p11.Attribute) (o p11.ObjectHandle, err error) {
	err = l.step(durable(t), func() error { o, err = l.cryptoki.CopyObject(s, from, t); return err })
	return o, err
}

func (l line) DestroyObject(s p11.SessionHandle, o p11.ObjectHandle) error {
	return l.step(false, func() error { return l.cryptoki.DestroyObject(s, o) })
}

func (l line) GenerateKey(s p11.SessionHandle, m []*p11.Mechanism, t []*p11.Attribute) (o p11.ObjectHandle, err error) {
	err = l.step(durable(t), func() error { o, err = l.cryptoki.GenerateKey(s, m, t); return err })
	return o, err
}

func (l line) GenerateKeyPair(s p11.SessionHandle, m []*p11.Mechanism, public, private []*p11.Attribute) (pub, priv p11.ObjectHandle, err error) {
	err = l.step(durable(private), func() error { pub, priv, err = l.cryptoki.GenerateKeyPair(s, m, public, private); return err })
	return pub, priv, err
}

func (l line) GenerateRandom(s p11.SessionHandle, n int) (b []byte, err error) {
	err = l.step(false, func() error { b, err = l.cryptoki.GenerateRandom(s, n); return err })
	return b, err
}

func (l line) WrapKey(s p11.SessionHandle, m []*p11.Mechanism, with, key p11.ObjectHandle) (b []byte, err error) {
	err = l.step(false, func() error { b, err = l.cryptoki.WrapKey(s, m, with, key); return err })
	return b, err
}

func (l line) UnwrapKey(s p11.SessionHandle, m []*p11.Mechanism, with p11.ObjectHandle, w []byte, t []*p11.Attribute) (o p11.ObjectHandle, err error) {
	err = l.step(false, func() error { o, err = l.cryptoki.UnwrapKey(s, m, with, w, t); return err })
	return o, err
}

func (l line) DeriveKey(s p11.SessionHandle, m []*p11.Mechanism, key p11.ObjectHandle, t []*p11.Attribute) (o p11.ObjectHandle, err error) {
	err = l.step(false, func() error { o, err = l.cryptoki.DeriveKey(s, m, key, t); return err })
	return o, err
}

func (l line) SignInit(s p11.SessionHandle, m []*p11.Mechanism, key p11.ObjectHandle) error {
	return l.step(false, func() error { return l.cryptoki.SignInit(s, m, key) })
}

func (l line) Sign(s p11.SessionHandle, p []byte) (b []byte, err error) {
	err = l.step(false, func() error { b, err = l.cryptoki.Sign(s, p); return err })
	return b, err
}

func (l line) EncryptInit(s p11.SessionHandle, m []*p11.Mechanism, key p11.ObjectHandle) error {
	return l.step(false, func() error { return l.cryptoki.EncryptInit(s, m, key) })
}

func (l line) Encrypt(s p11.SessionHandle, p []byte) (b []byte, err error) {
	err = l.step(false, func() error { b, err = l.cryptoki.Encrypt(s, p); return err })
	return b, err
}

func (l line) DecryptInit(s p11.SessionHandle, m []*p11.Mechanism, key p11.ObjectHandle) error {
	return l.step(false, func() error { return l.cryptoki.DecryptInit(s, m, key) })
}

func (l line) Decrypt(s p11.SessionHandle, p []byte) (b []byte, err error) {
	err = l.step(false, func() error { b, err = l.cryptoki.Decrypt(s, p); return err })
	return b, err
}

// Judge is asked at each call of the module, in sessions old and new.
func (m *maker) Judge(_ *testing.T, h hal.HAL, judge func() hsmtest.Fault) {
	l := h.(*HSM).login
	l.calm.Lock()
	defer l.calm.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ctx = l.module.ctx
	if judge != nil {
		l.ctx = line{l.module.ctx, judge, &m.lost}
	}
	for _, s := range l.idle {
		s.ctx = l.ctx
	}
}

// NoWindow: whoever looks second sees two objects.
func (*maker) NoWindow() {}

// Break takes all sessions away, or the login, or one session behind its back.
func (m *maker) Break(t *testing.T, h hal.HAL) {
	l := h.(*HSM).login
	l.calm.Lock()
	defer l.calm.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, way := l.module.ctx, m.breaks.Add(1)
	var err error
	switch {
	case way%3 == 0:
		err = ctx.CloseAllSessions(l.slot)
	case way%3 == 1 || len(l.idle) == 0:
		err = ctx.Logout(l.keeper)
	default:
		err = ctx.CloseSession(l.idle[len(l.idle)-1].handle)
	}
	// What an earlier break left may not have been noticed yet.
	if err != nil && !errors.Is(err, p11.Error(p11.CKR_USER_NOT_LOGGED_IN)) && !errors.Is(err, p11.Error(p11.CKR_SESSION_HANDLE_INVALID)) {
		t.Fatal(err)
	}
}

// Mend: it recovers by itself.
func (*maker) Mend(_ *testing.T, h hal.HAL) hal.HAL { return h }
