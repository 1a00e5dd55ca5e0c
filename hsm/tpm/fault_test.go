package tpm

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

func TestFaults(t *testing.T) { hsmtest.RunFaults(t, newMaker()) }

// roomCommands are those that take room in the TPM.
var roomCommands = map[tpm2.TPMCC]tpm2.TPMRC{
	tpm2.TPMCCNVDefineSpace: tpm2.TPMRCNVSpace, tpm2.TPMCCNVWrite: tpm2.TPMRCNVSpace, tpm2.TPMCCCreate: tpm2.TPMRCObjectMemory,
}

// Judge is asked at each command.
func (m maker) Judge(_ *testing.T, h hal.HAL, judge func() hsmtest.Fault) {
	p := m.tap(h)
	if judge == nil {
		p.set(nil)
		return
	}
	p.set(func(command []byte) verdict {
		f := judge()
		v := verdict{cut: f.Kind == hsmtest.Cut, lose: f.Kind == hsmtest.Lost, wait: f.Wait}
		if code, takes := roomCommands[tpm2.TPMCC(commandCode(command))]; takes && f.Kind == hsmtest.Full {
			v.answer = refusal(uint32(code))
		}
		return v
	})
}

// Break kills the TPM with all that is loaded in it, and starts it again.
func (m maker) Break(t *testing.T, h hal.HAL) {
	e := m.tap(h).emulator
	e.kill()
	e.start(t)
}

// Mend: it recovers by itself.
func (maker) Mend(_ *testing.T, h hal.HAL) hal.HAL { return h }

// tapped is a new HSM behind a tap.
func tapped(t testing.TB) (*HSM, *tap, *emulator) {
	t.Helper()
	e := newEmulator(t)
	p := newTap(t, e)
	h, err := Create(t.TempDir(), Options{Path: p.socket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h, p, e
}

// used is an HSM with a wrapped key, a named key and a memory.
type used struct {
	*HSM
	wrapped, public, product, named []byte
}

func use(t testing.TB, h *HSM) used {
	t.Helper()
	u := used{HSM: h}
	var err error
	if u.wrapped, u.public, err = h.MakeOPRFKey(hal.P256); err != nil {
		t.Fatal(err)
	}
	if u.product, err = h.MultiplyWrapped(hal.P256, u.wrapped, u.public); err != nil {
		t.Fatal(err)
	}
	if u.named, err = h.MakeKey("ake", hal.P256); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteMemory([]byte("anchor")); err != nil {
		t.Fatal(err)
	}
	return u
}

// calls are all that asks the TPM; each says whether its answer is right.
func (u used) calls() map[string]func() error {
	wrong := errors.New("a wrong answer")
	right := func(ok bool, err error) error {
		if err == nil && !ok {
			return wrong
		}
		return err
	}
	return map[string]func() error{
		"MultiplyWrapped": func() error {
			got, err := u.MultiplyWrapped(hal.P256, u.wrapped, u.public)
			return right(bytes.Equal(got, u.product), err)
		},
		"Multiply": func() error {
			got, err := u.Multiply("ake", u.public)
			return right(len(got) == pointBytes, err)
		},
		"MakeOPRFKey": func() error { _, _, err := u.MakeOPRFKey(hal.P256); return err },
		"ReadMemory": func() error {
			got, err := u.ReadMemory()
			return right(string(got) == "anchor", err)
		},
		"WriteMemory": func() error { return u.WriteMemory([]byte("anchor")) },
		"Random":      func() error { return u.Random(make([]byte, 40)) },
	}
}

// loaded counts what is in the TPM now.
func (u used) loaded(t *testing.T) (objects, sessions int) {
	t.Helper()
	err := u.do(func(a *attached) error {
		o, err := a.handles(handlesTransient, handlesMax)
		if err != nil {
			return err
		}
		s, err := a.handles(handlesSession, handlesMax)
		objects, sessions = len(o), len(s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects, sessions
}

func TestKilledTPM(t *testing.T) {
	h, _, e := tapped(t)
	u := use(t, h)
	for name, call := range u.calls() {
		e.kill()
		for range 2 {
			if err := call(); !errors.Is(err, hal.ErrGone) {
				t.Errorf("%s without a TPM: %v", name, err)
			}
		}
		e.start(t)
		if err := call(); err != nil {
			t.Errorf("%s when the TPM is back: %v", name, err)
		}
	}
}

// TestSlowTPM: the TPM answers only after Close has returned. Were Close to
// wait for it, this test would never end.
func TestSlowTPM(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	asked, answer := make(chan struct{}, 100), make(chan struct{})
	p.set(func([]byte) verdict { asked <- struct{}{}; <-answer; return verdict{} })
	results := make(chan error, 3)
	for range cap(results) { // one talks to the TPM, two wait for their turn
		go func() { results <- u.WriteMemory([]byte("next")) }()
	}
	<-asked
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		if err := <-results; !errors.Is(err, hal.ErrGone) {
			t.Errorf("a call that was open: %v", err)
		}
	}
	close(answer)
}

// TestLateAnswer: what comes after the time is up is not taken for the answer
// to something else.
func TestLateAnswer(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	answer := make(chan struct{})
	p.set(func([]byte) verdict { <-answer; return verdict{} })
	u.at.wait = 50 * time.Millisecond
	if err := u.Random(make([]byte, 8)); !errors.Is(err, hal.ErrGone) || !errors.Is(err, errLate) {
		t.Fatalf("no answer: %v", err)
	}
	close(answer)
	p.set(nil)
	for name, call := range u.calls() {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBusyTPM(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	for code, want := range map[tpm2.TPMRC]error{
		tpm2.TPMRCRetry: hal.ErrGone, tpm2.TPMRCYielded: hal.ErrGone, tpm2.TPMRCTesting: hal.ErrGone, tpm2.TPMRCNVRate: hal.ErrGone,
	} {
		count := 0
		p.set(func([]byte) verdict {
			if count++; count <= busyRetriesMax {
				return verdict{answer: refusal(uint32(code))}
			}
			return verdict{}
		})
		err := u.calls()["WriteMemory"]()
		p.set(nil)
		if err != nil || count != busyRetriesMax+3 { // look, write, look
			t.Errorf("%v, then ready: %v after %d commands", code, err, count)
		}
		count = 0
		p.set(func([]byte) verdict { count++; return verdict{answer: refusal(uint32(code))} })
		err = u.calls()["WriteMemory"]()
		p.set(nil)
		if !errors.Is(err, want) || count != busyRetriesMax+1 {
			t.Errorf("%v for ever: %v after %d commands", code, err, count)
		}
		if err := u.calls()["MultiplyWrapped"](); err != nil {
			t.Errorf("after %v: %v", code, err)
		}
	}
}

// TestCodes gives each code in answer to the first command of a call.
func TestCodes(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	for code, want := range map[tpm2.TPMRC]error{
		tpm2.TPMRCLockout: hal.ErrSecret, tpm2.TPMRCBadAuth + 0x900: hal.ErrSecret, tpm2.TPMRCAuthFail + 0x900: hal.ErrSecret,
		tpm2.TPMRCHierarchy + 0x100: hal.ErrSecret, tpm2.TPMRCObjectMemory: hal.ErrFull, tpm2.TPMRCSessionMemory: hal.ErrFull,
		tpm2.TPMRCNVSpace: hal.ErrFull, tpm2.TPMRCFailure: hal.ErrGone, tpm2.TPMRCInitialize: hal.ErrGone,
		tpm2.TPMRCReferenceH0: hal.ErrGone, tpm2.TPMRCIntegrity + 0x140: hal.ErrWrapped,
	} {
		p.set(func(command []byte) verdict {
			if commandCode(command) == uint32(tpm2.TPMCCLoad) {
				return verdict{answer: refusal(uint32(code))}
			}
			return verdict{}
		})
		if err := u.calls()["MultiplyWrapped"](); !errors.Is(err, want) {
			t.Errorf("%#x: %v, want %v", uint32(code), err, want)
		}
		p.set(nil)
		if err := u.calls()["MultiplyWrapped"](); err != nil {
			t.Errorf("after %#x: %v", uint32(code), err)
		}
	}
}

// TestFlush: errors leave nothing in the TPM, which holds three objects.
func TestFlush(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	for range 10 {
		p.set(func(command []byte) verdict {
			if commandCode(command) == uint32(tpm2.TPMCCECDHZGen) {
				return verdict{answer: refusal(uint32(tpm2.TPMRCECCPoint) + 0x140)}
			}
			return verdict{}
		})
		if err := u.calls()["MultiplyWrapped"](); err == nil {
			t.Fatal("no error")
		}
		p.set(nil)
		bad := bytes.Clone(u.wrapped)
		bad[len(bad)-1] ^= 1
		if _, err := u.MultiplyWrapped(hal.P256, bad, u.public); !errors.Is(err, hal.ErrWrapped) {
			t.Fatal(err)
		}
	}
	if objects, sessions := u.loaded(t); objects != 1 || sessions != 3 {
		t.Fatalf("%d objects and %d sessions are in the TPM", objects, sessions)
	}
}

const handlesNV = 0x01000000 // first of the NV indexes (Part 2 §7.2)

// TestNoRoom fills the TPM's NV until it takes nothing more.
func TestNoRoom(t *testing.T) {
	e := newEmulator(t)
	l, err := dial(e.socket, commandWaitDefault, nil)
	if err != nil {
		t.Fatal(err)
	}
	var filled []tpm2.TPMHandle
	for size := uint16(2048); size > 0; size /= 2 {
		for {
			public := indexPublic(0x01900000+uint32(len(filled)), false)
			public.DataSize = size
			_, err := tpm2.NVDefineSpace{AuthHandle: owner(nil), PublicInfo: tpm2.New2B(public)}.Execute(l)
			if errors.Is(err, tpm2.TPMRCNVSpace) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			filled = append(filled, public.NVIndex)
		}
	}
	undefine := func(l *link, n int) {
		for _, index := range filled[:n] {
			got, err := tpm2.NVReadPublic{NVIndex: index}.Execute(l)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := (tpm2.NVUndefineSpace{AuthHandle: owner(nil), NVIndex: tpm2.NamedHandle{Handle: index, Name: got.NVName}}).Execute(l); err != nil {
				t.Fatal(err)
			}
		}
		filled = filled[n:]
	}
	create := func() (*HSM, error) {
		if err := l.conn.Close(); err != nil {
			t.Fatal(err)
		}
		h, err := Create(t.TempDir(), Options{Path: e.socket})
		if err != nil {
			var again error
			if l, again = dial(e.socket, commandWaitDefault, nil); again != nil {
				t.Fatal(again)
			}
			left, again := (&attached{link: l}).handles(handlesNV, handlesMax)
			if again != nil || len(left) != len(filled) {
				t.Fatalf("%d indexes, %d before: %v", len(left), len(filled), again)
			}
		}
		return h, err
	}
	if _, err := create(); !errors.Is(err, hal.ErrFull) {
		t.Fatalf("a full TPM: %v", err)
	}
	undefine(l, 1) // room for one of the two, and then it is taken back
	if _, err := create(); !errors.Is(err, hal.ErrFull) {
		t.Fatalf("room for one index: %v", err)
	}
	undefine(l, 1)
	h, err := create()
	if err != nil {
		t.Fatalf("room again: %v", err)
	}
	_ = h.Close()
}
