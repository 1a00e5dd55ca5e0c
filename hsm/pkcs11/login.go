//go:build pkcs11 && cgo

package pkcs11

import (
	"errors"
	"fmt"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// login is the process's login to one token with its sessions: one for each
// goroutine in use, and one that is only kept, for a token logs out when its
// last session ends. Handles of keys belong to a login too.
type login struct {
	config Config
	module *module
	ctx    cryptoki // the module's
	slot   uint
	places chan struct{} // one for each session in use

	// Held for reading by each call, for writing by recover: a login that
	// comes or goes while other calls run makes SoftHSM2 2.6.1 crash.
	calm sync.RWMutex

	mu     sync.Mutex // guards what follows
	keeper p11.SessionHandle
	keys   *keys
	idle   []*session // opened under keys
	refuse error      // a PIN that is no more the right one: never tried again
}

func openLogin(c Config) (l *login, err error) {
	m, err := loadModule(c.Module)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.release())
		}
	}()
	slot, err := m.find(c)
	if err != nil {
		return nil, err
	}
	if err := m.take(slot); err != nil {
		return nil, err
	}
	l = &login{config: c, module: m, ctx: m.ctx, slot: slot, places: make(chan struct{}, c.Sessions)}
	if l.keeper, err = l.enter(); err != nil {
		m.give(slot)
		return nil, err
	}
	l.keys = newKeys()
	return l, nil
}

// enter opens a session and logs the process in.
func (l *login) enter() (p11.SessionHandle, error) {
	handle, err := l.openSession()
	if err != nil {
		return 0, err
	}
	pin, err := l.config.PIN()
	if err == nil {
		err = answered("C_Login", l.ctx.Login(handle, p11.CKU_USER, string(pin)))
		clear(pin)
	}
	if isCode(err, p11.CKR_USER_ALREADY_LOGGED_IN) {
		err = nil // our own login lives: only sessions were lost
	}
	if err != nil {
		_ = l.ctx.CloseSession(handle)
		return 0, err
	}
	return handle, nil
}

func (l *login) openSession() (p11.SessionHandle, error) {
	handle, err := l.ctx.OpenSession(l.slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	return handle, answered("C_OpenSession", err)
}

// take gives a session to one goroutine; give takes it back.
func (l *login) take() (*session, error) {
	l.places <- struct{}{}
	l.mu.Lock()
	if n := len(l.idle); n > 0 {
		s := l.idle[n-1]
		l.idle = l.idle[:n-1]
		l.mu.Unlock()
		return s, nil
	}
	under := l.keys
	l.mu.Unlock()
	handle, err := l.openSession()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &session{ctx: l.ctx, handle: handle, keys: under}, nil
}

// give keeps a session for the next, unless a call of the module failed: the
// session may hold a half made operation or objects, which go with it.
func (l *login) give(s *session, err error) {
	_, failed := codeOf(err)
	l.mu.Lock()
	keep := !failed && s.keys == l.keys
	if keep {
		l.idle = append(l.idle, s)
	}
	l.mu.Unlock()
	if !keep {
		_ = l.ctx.CloseSession(s.handle)
	}
	<-l.places
}

// current is the login's keys, to be compared by recover.
func (l *login) current() *keys {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys
}

// recover logs in again after sessions or handles were lost. stale is what
// the loser worked under: if another goroutine recovered since, all is done.
func (l *login) recover(stale *keys) error {
	l.calm.Lock()
	defer l.calm.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys != stale {
		return nil
	}
	if l.refuse != nil {
		return l.refuse
	}
	// First what was: a token may give the number of a closed session again.
	l.closeIdle()
	_ = l.ctx.CloseSession(l.keeper)
	keeper, err := l.enter()
	if err != nil {
		if errors.Is(meaning(err), hal.ErrSecret) {
			l.refuse = err // each more try could lock the token
		}
		return err
	}
	l.keeper, l.keys = keeper, newKeys()
	return nil
}

func (l *login) closeIdle() {
	for _, s := range l.idle {
		_ = l.ctx.CloseSession(s.handle)
	}
	l.idle = nil
}

// close logs out. No session is in use any more.
func (l *login) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeIdle()
	_ = l.ctx.Logout(l.keeper)
	_ = l.ctx.CloseSession(l.keeper)
	l.module.give(l.slot)
	return l.module.release()
}

// use runs call with a session, and once more after a lost one. So a call must
// bear being made twice: what it makes are session objects, gone with the
// session, or it writes what it would write again, or it knows what it did.
func (l *login) use(call func(*session) error) error {
	err := l.once(call)
	if !lost(err) {
		return l.explain(err)
	}
	return l.explain(l.once(call))
}

func (l *login) once(call func(*session) error) error {
	under, err := l.within(call)
	if lost(err) {
		if again := l.recover(under); again != nil {
			return again
		}
	}
	return err
}

// within runs call in a session and says under which login.
func (l *login) within(call func(*session) error) (under *keys, err error) {
	l.calm.RLock()
	defer l.calm.RUnlock()
	s, err := l.take()
	if err != nil {
		return l.current(), err
	}
	if err = s.keys.find(s); err == nil {
		err = call(s)
	}
	s.autopsy(err)
	l.give(s, err)
	return s.keys, err
}

// explain puts the contract's error beside what the token answered. Where the
// answer could be anything, the token is asked whether it is there.
func (l *login) explain(err error) error {
	if isNoObject(err) { // our keys were there when the token was opened
		return fmt.Errorf("%w: %w", hal.ErrGone, err)
	}
	if _, found := codeOf(err); !found {
		return err
	}
	what := meaning(err)
	if what == nil && (lost(err) || !l.alive()) { // lost a second time, after recovering
		what = hal.ErrGone
	}
	if what == nil {
		return fmt.Errorf("%w%s", err, advice(err))
	}
	return fmt.Errorf("%w: %w%s", what, err, advice(err))
}

// alive: the token still shows the keys.
func (l *login) alive() bool {
	l.calm.RLock()
	defer l.calm.RUnlock()
	s, err := l.take()
	if err != nil {
		return false
	}
	err = newKeys().find(s)
	l.give(s, err)
	return err == nil
}
