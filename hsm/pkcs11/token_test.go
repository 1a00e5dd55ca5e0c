//go:build pkcs11 && cgo

package pkcs11

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

const (
	userPIN  = "1234-user"
	guardPIN = "5678-guard"
)

// softHSM finds SoftHSM2's library. A missing one is a failure, never a skip.
func softHSM(t testing.TB) string {
	t.Helper()
	places := []string{
		"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
	}
	for _, path := range places {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("SoftHSM2 is not installed: run .ci/hsm, or: apt-get install softhsm2")
	return ""
}

// store makes an empty SoftHSM2 store for a test and those below it.
func store(t testing.TB) (folder string) {
	t.Helper()
	folder = t.TempDir()
	tokens := filepath.Join(folder, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(folder, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", settings)
	return tokens
}

// token initialises a token as a vendor's tool does: label, officer's PIN,
// user's PIN.
func token(t testing.TB, label string) Config {
	t.Helper()
	m, err := loadModule(softHSM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.release() }()
	slots, err := m.ctx.GetSlotList(true)
	if err != nil || len(slots) == 0 {
		t.Fatal(slots, err)
	}
	free := slots[len(slots)-1] // SoftHSM2 always shows one more, the last
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(m.ctx.InitToken(free, guardPIN, label))
	if slots, err = m.ctx.GetSlotList(true); err != nil {
		t.Fatal(err)
	}
	slot, err := m.find(Config{Token: label})
	check(err)
	handle, err := m.ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	check(err)
	check(m.ctx.Login(handle, p11.CKU_SO, guardPIN))
	check(m.ctx.InitPIN(handle, userPIN))
	check(m.ctx.Logout(handle))
	check(m.ctx.CloseSession(handle))
	return Config{Module: softHSM(t), Token: label, PIN: pin(userPIN)}
}

func pin(p string) PIN { return func() (Secret, error) { return Secret(p), nil } }

// made gives an HSM over a fresh token.
func made(t testing.TB, label string) (*HSM, Config) {
	t.Helper()
	c := token(t, label)
	h, err := Create(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h.(*HSM), c
}

type maker struct {
	count, breaks atomic.Int64
	lost          int
}

func (*maker) Groups() []hal.Group { return []hal.Group{hal.P256} }

func (m *maker) New(t *testing.T) hal.HAL {
	h, _ := made(t, fmt.Sprintf("contract %d", m.count.Add(1)))
	return h
}

func (*maker) Reopen(t *testing.T, h hal.HAL) hal.HAL {
	c := h.(*HSM).login.config
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	return opened(t, c)
}

func opened(t testing.TB, c Config) *HSM {
	t.Helper()
	h, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h.(*HSM)
}

// Rival is logged in as another process would be: SoftHSM2 keeps one login a
// process, so the place that keeps a second one out is given free for it.
func (*maker) Rival(t *testing.T, h hal.HAL) hal.HAL {
	l := h.(*HSM).login
	l.module.give(l.slot)
	return opened(t, l.config)
}

// PutBack puts nothing back: all is in the token. SoftHSM2's own files put
// back are a token that was taken apart: no promise holds then.
func (m *maker) PutBack(t *testing.T, h hal.HAL, change func(hal.HAL)) hal.HAL {
	change(h)
	return m.Reopen(t, h)
}
