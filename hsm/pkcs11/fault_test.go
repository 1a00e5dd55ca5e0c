//go:build pkcs11 && cgo

package pkcs11

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

func TestEntrance(t *testing.T) {
	store(t)
	h, c := made(t, "door")
	if _, err := Open(c); !errors.Is(err, ErrInUse) {
		t.Errorf("a second opening, which would be let in without its PIN: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	blank := token(t, "blank")
	with := func(change func(*Config)) Config { d := c; change(&d); return d }
	elsewhere := uint(999)
	for _, refused := range []struct {
		name   string
		err    error
		config Config
		says   string
	}{
		{"a wrong PIN", hal.ErrSecret, with(func(c *Config) { c.PIN = pin("0000-wrong") }), "CKR_PIN_INCORRECT"},
		{"a PIN too short", hal.ErrSecret, with(func(c *Config) { c.PIN = pin("1") }), "C_Login"},
		{"no PIN file", ErrPIN, with(func(c *Config) { c.PIN = PINFile("/nowhere/pin") }), "/nowhere/pin"},
		{"no such module", ErrModule, with(func(c *Config) { c.Module = "/nowhere/lib.so" }), "/nowhere/lib.so"},
		{"a module that is none", ErrModule, with(func(c *Config) { c.Module = "/etc/hostname" }), "/etc/hostname"},
		{"no such token", ErrToken, with(func(c *Config) { c.Token = "dor" }), `label "dor"; the module shows "door", "blank"`},
		{"no such slot", ErrToken, with(func(c *Config) { c.Slot = &elsewhere }), "slot 999"},
		{"a blank token", ErrMissing, blank, "holds no vault's keys"},
	} {
		h, err := Open(refused.config)
		if !errors.Is(err, refused.err) || h != nil {
			t.Errorf("%s: %v", refused.name, err)
			continue
		}
		text := err.Error()
		if refused.name == "no such token" { // in the module's order
			text = strings.ReplaceAll(text, `"blank", "door"`, `"door", "blank"`)
		}
		if !strings.Contains(text, refused.says) || strings.Contains(text, "0000-wrong") || strings.Contains(text, userPIN) {
			t.Errorf("%s: says %q", refused.name, err)
		}
	}
	if _, err := Create(c); !errors.Is(err, ErrExists) {
		t.Errorf("a second making: %v", err)
	}
	opened(t, c) // nothing of all this harmed it
	byPINFile := blank
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(userPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	byPINFile.PIN = PINFile(path)
	again, err := Create(byPINFile)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}

// Two tokens of one label: guessing one would open another vault.
func TestTwoTokensOfOneLabel(t *testing.T) {
	store(t)
	token(t, "twin")
	m, err := loadModule(softHSM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.release() }()
	slots, err := m.ctx.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.ctx.InitToken(slots[len(slots)-1], guardPIN, "twin"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.find(Config{Token: "twin"}); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "2 tokens") {
		t.Fatal(err)
	}
	slot, err := m.find(Config{Token: "twin", Slot: &slots[0]})
	if err != nil || slot != slots[0] {
		t.Fatal(slot, err)
	}
}

// An interrupted Create leaves keys without the mark: the next one starts anew.
func TestInterruptedCreate(t *testing.T) {
	store(t)
	c, err := token(t, "half").settled()
	if err != nil {
		t.Fatal(err)
	}
	l, err := openLogin(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.take()
	if err != nil {
		t.Fatal(err)
	}
	if err := makeRoot(s); err != nil {
		t.Fatal(err)
	}
	mark, err := s.single(p11.CKO_DATA, markName)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.destroy(mark); err != nil {
		t.Fatal(err)
	}
	l.give(s, nil)
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c); !errors.Is(err, ErrMissing) {
		t.Fatalf("half a vault opens: %v", err)
	}
	h, err := Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Seal(nil, nil); err != nil { // finds each key once
		t.Fatal(err)
	}
}

// TestTokenGone deletes the token's folder: a token pulled out.
func TestTokenGone(t *testing.T) {
	for _, name := range []string{"MultiplyWrapped", "Multiply", "MultiplyX", "MakeOPRFKey", "MakeKey", "Sign", "Seal", "Open", "OpenEpoch", "EpochKeys", "ReadMemory", "WriteMemory"} {
		tokens := store(t)
		h, _ := made(t, "gone "+name)
		call := hsmtest.Calls(t, h)[name]
		if err := os.RemoveAll(tokens); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := call(); !errors.Is(err, hal.ErrGone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := h.Multiply("never looked up", randomPoint(t)); !errors.Is(err, hal.ErrGone) {
			t.Errorf("a key that was never looked up: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// TestLostUnderLoad: sixteen goroutines lose their sessions at once, and each
// recovers or finds that another did. (The loss falls between two calls:
// SoftHSM2 2.6.1 crashes when sessions are closed under a call that runs.)
func TestLostUnderLoad(t *testing.T) {
	store(t)
	h, _ := made(t, "storm")
	work := hsmtest.Calls(t, h)
	for range 12 {
		var done atomic.Int64
		var all sync.WaitGroup
		for _, name := range hsmtest.Reading {
			for range 2 {
				all.Go(func() {
					for range 4 {
						if err := work[name](); err != nil {
							t.Errorf("%s: %v", name, err)
						}
						done.Add(1)
					}
				})
			}
		}
		for done.Load() < 10 {
			runtime.Gosched()
		}
		// One loss a round: a call is made again once, not for ever.
		h.login.calm.Lock()
		err := h.login.module.ctx.CloseAllSessions(h.login.slot)
		h.login.calm.Unlock()
		if err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}

// TestLostWithin takes the sessions away between two steps of one call.
func TestLostWithin(t *testing.T) {
	store(t)
	h, _ := made(t, "within")
	wrapped, public, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	blob, _, _, err := parseKey(hal.P256, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	element, err := parsePoint(public)
	if err != nil {
		t.Fatal(err)
	}
	lose := func(step int, runs int) {
		if step == 1 && runs == 1 {
			if err := h.login.module.ctx.CloseAllSessions(h.login.slot); err != nil {
				t.Error(err)
			}
		}
	}
	for name, call := range map[string]func(s *session, runs int) error{
		"between unwrapping and deriving": func(s *session, runs int) error {
			key, err := s.unwrap(WrapAESPad, s.keys.root().wrap, blob.wrapped, unwrapped)
			if err != nil {
				return err
			}
			lose(1, runs)
			got, err := multiply(s.deriver(key), element, generator())
			if err == nil && !bytes.Equal(got, public) {
				t.Errorf("got %x", got)
			}
			return first(err, s.destroy(key))
		},
		"between two derivations": func(s *session, runs int) error {
			key, err := s.unwrap(WrapAESPad, s.keys.root().wrap, blob.wrapped, unwrapped)
			if err != nil {
				return err
			}
			step := 0
			_, err = multiply(func(p []byte) ([]byte, error) { lose(step, runs); step++; return s.deriveX(key, p) }, element, generator())
			return first(err, s.destroy(key))
		},
		"between generating and wrapping": func(s *session, runs int) error {
			key, err := s.generateKey(valueKey)
			if err != nil {
				return err
			}
			lose(1, runs)
			_, err = s.wrap(WrapAESPad, s.keys.root().seal, key)
			return first(err, s.destroy(key))
		},
		"between reading and writing the memory": func(s *session, runs int) error {
			at := &memoryStore{session: s}
			if _, err := at.Read(0); err != nil {
				return err
			}
			lose(1, runs)
			return (&pair.Write{Data: []byte("written")}).Run(&h.memory, at)
		},
	} {
		runs := 0
		if err := h.use(func(s *session) error { runs++; return call(s, runs) }); err != nil || runs != 2 {
			t.Errorf("%s: %d runs, %v", name, runs, err)
		}
	}
	if got, err := h.ReadMemory(); err != nil || string(got) != "written" {
		t.Errorf("memory: %q %v", got, err)
	}
	// A named key that was made before the loss is taken for its own.
	runs, tried := 0, false
	err = h.use(func(s *session) error {
		runs++
		err := s.makeNamed("made once", false, &tried)
		lose(1, runs)
		return first(err, s.present())
	})
	if err != nil || runs != 2 {
		t.Errorf("MakeKey: %d runs, %v", runs, err)
	}
	if _, err := h.PublicKey("made once"); err != nil {
		t.Error(err)
	}
	if _, err := h.MakeKey("made once", hal.P256); !errors.Is(err, hal.ErrKeyExists) {
		t.Errorf("made again: %v", err)
	}
	inside(t, h, func(s *session) {
		if found, err := s.find(template{attribute(p11.CKA_TOKEN, false)}); err != nil || len(found) > 0 {
			t.Errorf("%d session objects are left: %v", len(found), err)
		}
	})
}

// TestVagueAnswer: CKR_GENERAL_ERROR of a session that died is a loss, and the
// call is made again; of one that lives it is an answer, and is not.
func TestVagueAnswer(t *testing.T) {
	store(t)
	h, _ := made(t, "vague")
	vague := answered("C_Anything", p11.Error(p11.CKR_GENERAL_ERROR))
	runs := 0
	err := h.use(func(s *session) error {
		runs++
		if runs > 1 {
			return s.present()
		}
		if err := h.login.module.ctx.CloseAllSessions(h.login.slot); err != nil {
			t.Error(err)
		}
		return vague
	})
	if err != nil || runs != 2 {
		t.Errorf("a dead session: %d runs, %v", runs, err)
	}
	runs = 0
	err = h.use(func(*session) error { runs++; return answered("C_Anything", p11.Error(p11.CKR_GENERAL_ERROR)) })
	if !isCode(err, p11.CKR_GENERAL_ERROR) || runs != 1 || errors.Is(err, hal.ErrGone) {
		t.Errorf("a living session: %d runs, %v", runs, err)
	}
}

// TestPINChanged: after a lost session the PIN is no more the right one. It is
// tried once, not until the token locks.
func TestPINChanged(t *testing.T) {
	store(t)
	c := token(t, "changed")
	var logins atomic.Int64
	c.PIN = func() (Secret, error) { logins.Add(1); return Secret(userPIN), nil }
	made, err := Create(c)
	if err != nil {
		t.Fatal(err)
	}
	h := made.(*HSM)
	defer h.Close()
	ctx, slot := h.login.module.ctx, h.login.slot
	if err := ctx.SetPIN(h.login.keeper, userPIN, "another-pin"); err != nil {
		t.Fatal(err)
	}
	if err := ctx.CloseAllSessions(slot); err != nil {
		t.Fatal(err)
	}
	before := logins.Load()
	for range 5 {
		if _, err := h.Seal(nil, nil); !errors.Is(err, hal.ErrSecret) {
			t.Fatalf("%v", err)
		}
	}
	if n := logins.Load() - before; n != 1 {
		t.Fatalf("the wrong PIN was tried %d times", n)
	}
}

func TestAnswersAreNamed(t *testing.T) {
	for code, want := range map[p11.Error]error{
		p11.CKR_DEVICE_MEMORY: hal.ErrFull, p11.CKR_HOST_MEMORY: hal.ErrFull, p11.CKR_SESSION_COUNT: hal.ErrFull,
		p11.CKR_TOKEN_NOT_PRESENT: hal.ErrGone, p11.CKR_DEVICE_REMOVED: hal.ErrGone, p11.CKR_DEVICE_ERROR: hal.ErrGone,
		p11.CKR_SLOT_ID_INVALID: hal.ErrGone, p11.CKR_CRYPTOKI_NOT_INITIALIZED: hal.ErrGone,
		p11.CKR_PIN_INCORRECT: hal.ErrSecret, p11.CKR_PIN_LOCKED: hal.ErrSecret,
	} {
		err := answered("C_Call", code)
		if !errors.Is(meaning(err), want) || !strings.Contains(err.Error(), "C_Call") || lost(err) {
			t.Errorf("%v: %v", err, meaning(err))
		}
	}
	general := answered("C_DeriveKey", p11.Error(p11.CKR_GENERAL_ERROR))
	if meaning(general) != nil || lost(general) || !strings.Contains(general.Error(), "C_DeriveKey with pkcs11: 0x5: CKR_GENERAL_ERROR") {
		t.Errorf("%v", general)
	}
	if answered("C_Call", nil) != nil || lost(nil) {
		t.Error("no error became one")
	}
}

// A token that does not know the wrapping mechanism names it, and is not gone.
func TestUnknownMechanism(t *testing.T) {
	store(t)
	c := token(t, "mechanism")
	c.WrapMechanism = 0x7fff0001
	h, err := Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	_, _, err = h.MakeOPRFKey(hal.P256)
	if err == nil || errors.Is(err, hal.ErrGone) || !strings.Contains(err.Error(), "C_WrapKey") || !strings.Contains(err.Error(), "wrap can be set") {
		t.Fatalf("%v", err)
	}
}

// TestFewSessions: more goroutines than sessions wait, and none fails.
func TestFewSessions(t *testing.T) {
	store(t)
	c := token(t, "few")
	c.Sessions = 2
	made, err := Create(c)
	if err != nil {
		t.Fatal(err)
	}
	h := made.(*HSM)
	defer h.Close()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if _, err := h.Seal(nil, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(h.login.idle); n > 2 {
		t.Fatalf("%d sessions were in use", n)
	}
}
