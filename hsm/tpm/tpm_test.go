package tpm

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/nistec"
	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

func TestFolder(t *testing.T) {
	e := newEmulator(t)
	dir, o := t.TempDir(), Options{Path: e.socket}
	if _, err := Open(dir, o); !errors.Is(err, ErrMissing) {
		t.Fatalf("an empty folder: %v", err)
	}
	h, err := Create(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	u := use(t, h)
	if _, err := Open(dir, o); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second opening: %v", err)
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, o); !errors.Is(err, ErrExists) {
		t.Fatalf("a second making: %v", err)
	}
	if _, err := Open(dir, Options{Path: filepath.Join(dir, "nothing")}); !errors.Is(err, hal.ErrGone) {
		t.Fatalf("no TPM: %v", err)
	}
	if _, err := Open(dir, Options{Path: filepath.Join(dir, keysFile)}); !errors.Is(err, hal.ErrGone) {
		t.Fatalf("a file for a TPM: %v", err)
	}
	if _, err := Open(dir, Options{Path: newEmulator(t).socket}); !errors.Is(err, ErrOther) {
		t.Fatalf("another TPM: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, keysFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v %v", info.Mode(), err)
	}
	// Another vault in the same TPM: neither has the other's keys or memory.
	other, err := Create(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.MultiplyWrapped(hal.P256, u.wrapped, u.public); !errors.Is(err, hal.ErrWrapped) {
		t.Fatalf("another vault's key: %v", err)
	}
	if err := errors.Join(other.WriteMemory([]byte("other")), other.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.ReadMemory(); string(got) != "anchor" {
		t.Fatalf("memory %q, %v", got, err)
	}
}

// TestCommands: what a call costs in commands, which is what it costs on a
// real TPM. Each write of the vault's anchor is one NV write between two looks;
// an invalid point does not reach the TPM.
func TestCommands(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	commands := func(call func() error) map[tpm2.TPMCC]int {
		t.Helper()
		counts := map[tpm2.TPMCC]int{}
		p.set(func(command []byte) verdict { counts[tpm2.TPMCC(commandCode(command))]++; return verdict{} })
		defer p.set(nil)
		if err := call(); err != nil {
			t.Fatal(err)
		}
		return counts
	}
	anchor, whole := make([]byte, 57), make([]byte, hal.MemoryBytes)
	zgen := map[tpm2.TPMCC]int{tpm2.TPMCCLoad: 1, tpm2.TPMCCECDHZGen: 1, tpm2.TPMCCFlushContext: 1}
	for name, c := range map[string]struct {
		call func() error
		want map[tpm2.TPMCC]int
	}{
		"MultiplyWrapped":          {u.calls()["MultiplyWrapped"], zgen},
		"Multiply":                 {u.calls()["Multiply"], zgen},
		"MakeOPRFKey":              {u.calls()["MakeOPRFKey"], map[tpm2.TPMCC]int{tpm2.TPMCCCreate: 1}},
		"WriteMemory of an anchor": {func() error { return h.WriteMemory(anchor) }, map[tpm2.TPMCC]int{tpm2.TPMCCNVRead: 2, tpm2.TPMCCNVWrite: 1}},
		"WriteMemory of 1 KiB":     {func() error { return h.WriteMemory(whole) }, map[tpm2.TPMCC]int{tpm2.TPMCCNVRead: 3, tpm2.TPMCCNVWrite: 2}},
		"Random":                   {func() error { return h.Random(anchor[:32]) }, map[tpm2.TPMCC]int{tpm2.TPMCCGetRandom: 1}},
		"PublicKey, Seal":          {func() error { _, e := h.PublicKey("ake"); _, s := h.Seal(nil, anchor); return errors.Join(e, s) }, nil},
		"a point that is not valid": {func() error {
			_, err := u.MultiplyWrapped(hal.P256, u.wrapped, make([]byte, 33))
			return ignore(err, hal.ErrPoint)
		}, nil},
	} {
		if got := commands(c.call); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

// TestOwnerPassword: with it, nothing is made or opened without it, and it
// does not cross the bus.
func TestOwnerPassword(t *testing.T) {
	e := newEmulator(t)
	password := []byte("the owner's password")
	l, err := dial(e.socket, commandWaitDefault, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm2.HierarchyChangeAuth{AuthHandle: owner(nil), NewAuth: tpm2.TPM2BAuth{Buffer: password}}.Execute(l)
	if err := errors.Join(err, l.conn.Close()); err != nil {
		t.Fatal(err)
	}
	p := newTap(t, e)
	dir := t.TempDir()
	for _, wrong := range [][]byte{nil, []byte("another"), append(password, 0, 1)} {
		if _, err := Create(dir, Options{Path: p.socket, OwnerAuth: wrong}); !errors.Is(err, hal.ErrSecret) {
			t.Fatalf("made with %q: %v", wrong, err)
		}
	}
	h, err := Create(dir, Options{Path: p.socket, OwnerAuth: password})
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v", h.options, h.options, h.options); bytes.Contains([]byte(s), password) {
		t.Fatal("the password prints")
	}
	use(t, h)
	h = reopen(t, h, Options{Path: p.socket, OwnerAuth: password})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range [][]byte{nil, []byte("another")} {
		if _, err := Open(dir, Options{Path: p.socket, OwnerAuth: wrong}); !errors.Is(err, hal.ErrSecret) {
			t.Fatalf("opened with %q: %v", wrong, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) < 5000 || bytes.Contains(p.seen, password) {
		t.Fatalf("the password is among the %d bytes of the bus", len(p.seen))
	}
}

// TestBus: what is secret is not among the bytes that a listener at the bus
// sees; what is not secret is, so the search does find.
func TestBus(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	secretMemory := make([]byte, 100)
	_, _ = rand.Read(secretMemory)
	if err := h.WriteMemory(secretMemory); err != nil {
		t.Fatal(err)
	}
	h = reopen(t, h, h.options)
	if got, err := h.ReadMemory(); err != nil || !bytes.Equal(got, secretMemory) {
		t.Fatalf("memory: %v", err)
	}
	u.HSM = h
	ake, err := h.Multiply("ake", u.public)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, secret := range map[string][]byte{
		"the root secret": h.root[:], "a wrapped key's answer": u.product[1:], "a named key's answer": ake[1:],
		"the durable memory": secretMemory[:16], "the memory's password": h.root.nvPassword(),
	} {
		if bytes.Contains(p.seen, secret) {
			t.Errorf("%s crosses the bus in clear", name)
		}
	}
	for name, open := range map[string][]byte{"a point": u.public[1:], "a wrapped key": u.wrapped[2+pointBytes:]} {
		if !bytes.Contains(p.seen, open) {
			t.Errorf("%s is not found, so nothing was searched", name)
		}
	}
}

// TestBusTampering flips each byte of each answer of a multiplication: the
// call fails, or gives the right point; never another.
func TestBusTampering(t *testing.T) {
	if raceEnabled {
		return // thousands of calls; .ci/test runs them without the race detector
	}
	h, p, _ := tapped(t)
	u := use(t, h)
	flips, caught := 0, 0
	for _, code := range []tpm2.TPMCC{tpm2.TPMCCLoad, tpm2.TPMCCECDHZGen} {
		for at, size := headerBytes, headerBytes+1; at < size; at++ {
			p.set(func(command []byte) verdict {
				if commandCode(command) != uint32(code) {
					return verdict{}
				}
				return verdict{change: func(answer []byte) {
					if size = len(answer); at < size {
						answer[at] ^= 1
					}
				}}
			})
			got, err := u.MultiplyWrapped(hal.P256, u.wrapped, u.public)
			p.set(nil)
			if flips++; err != nil {
				caught++
			} else if !bytes.Equal(got, u.product) {
				t.Fatalf("byte %d of %v: a wrong point", at, code)
			}
		}
	}
	if flips < 150 || caught < 100 {
		t.Fatalf("%d flips, %d caught", flips, caught)
	}
	if err := u.calls()["MultiplyWrapped"](); err != nil {
		t.Fatal(err)
	}
}

// TestCommandTampering changes a byte of one command that a session covers:
// the TPM refuses it, and the call succeeds over a new line.
func TestCommandTampering(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	for name, call := range u.calls() {
		changed := 0
		p.set(func(command []byte) verdict {
			switch tpm2.TPMCC(commandCode(command)) {
			case tpm2.TPMCCECDHZGen, tpm2.TPMCCNVWrite, tpm2.TPMCCNVRead, tpm2.TPMCCGetRandom, tpm2.TPMCCCreate:
				if changed++; changed == 1 {
					command[len(command)-1] ^= 1
				}
			}
			return verdict{}
		})
		err := call()
		p.set(nil)
		if err != nil || changed < 2 {
			t.Errorf("%s, %d such commands: %v", name, changed, err)
		}
	}
}

// TestSwappedKey: who sits in the bus and has the TPM load another key of the
// vault gets an error, not a product with that key.
func TestSwappedKey(t *testing.T) {
	h, p, _ := tapped(t)
	u := use(t, h)
	other, _, err := h.MakeOPRFKey(hal.P256)
	if err != nil {
		t.Fatal(err)
	}
	b, err := unwrap(other)
	if err != nil {
		t.Fatal(err)
	}
	point, err := expand(b.point[:])
	if err != nil {
		t.Fatal(err)
	}
	var parameters []byte
	public := tpm2.Marshal(keyTemplate(purposeOPRF, point))
	for _, part := range [][]byte{b.private, public} {
		parameters = append(binary.BigEndian.AppendUint16(parameters, uint16(len(part))), part...)
	}
	swapped := 0
	p.set(func(command []byte) verdict {
		if commandCode(command) == uint32(tpm2.TPMCCLoad) && len(parameters) < len(command) {
			copy(command[len(command)-len(parameters):], parameters)
			swapped++
		}
		return verdict{}
	})
	got, err := u.MultiplyWrapped(hal.P256, u.wrapped, u.public)
	p.set(nil)
	if err == nil || swapped == 0 {
		t.Fatalf("%d swaps: %s", swapped, hex.EncodeToString(got))
	}
}

// TestPurposes: a key works in its own place only.
func TestPurposes(t *testing.T) {
	h, _, _ := tapped(t)
	u := use(t, h)
	if _, err := h.MakeKey("channel", hal.P256); err != nil {
		t.Fatal(err)
	}
	ake, err := h.named("ake")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.MultiplyWrapped(hal.P256, wrap(ake.key), u.public); !errors.Is(err, hal.ErrWrapped) {
		t.Errorf("a named key as a wrapped one: %v", err)
	}
	oprf, err := unwrap(u.wrapped)
	if err != nil {
		t.Fatal(err)
	}
	k := h.keys.named
	k[0].key, k[1].key = k[1].key, k[0].key
	if _, err := h.Multiply("ake", u.public); !errors.Is(err, ErrOther) {
		t.Errorf("the channel's key as the AKE's: %v", err)
	}
	k[0].key = oprf
	if _, err := h.Multiply("ake", u.public); !errors.Is(err, ErrOther) {
		t.Errorf("a wrapped key as a named one: %v", err)
	}
}

func TestNames(t *testing.T) {
	h, _, _ := tapped(t)
	for _, name := range []string{"", string(make([]byte, nameBytesMax+1))} {
		if _, err := h.MakeKey(name, hal.P256); !errors.Is(err, ErrName) {
			t.Errorf("a name of %d bytes: %v", len(name), err)
		}
	}
	for i := range namedMax {
		if _, err := h.MakeKey(fmt.Sprint(i), hal.P256); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.MakeKey("more", hal.P256); !errors.Is(err, hal.ErrFull) {
		t.Errorf("key %d: %v", namedMax+1, err)
	}
	h = reopen(t, h, h.options)
	if _, err := h.PublicKey(fmt.Sprint(namedMax - 1)); err != nil {
		t.Fatal(err)
	}
}

// TestLeadingZeros: some TPMs leave out leading zeros of a coordinate.
func TestLeadingZeros(t *testing.T) {
	found := 0
	for k := byte(1); found < 3 && k > 0; k++ {
		for j := range byte(255) {
			scalar := make([]byte, 32)
			scalar[30], scalar[31] = j, k
			p, err := nistec.NewP256Point().ScalarBaseMult(scalar)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := expand(p.BytesCompressed())
			if err != nil {
				t.Fatal(err)
			}
			x, y := whole.X.Buffer, whole.Y.Buffer
			if x[0] != 0 && y[0] != 0 {
				continue
			}
			found++
			got, err := compress(coordinates(bytes.TrimLeft(x, "\x00"), bytes.TrimLeft(y, "\x00")))
			if err != nil || !bytes.Equal(got, p.BytesCompressed()) {
				t.Fatalf("%x %x: %v", x, y, err)
			}
		}
	}
	if found < 3 {
		t.Fatalf("%d points with a leading zero", found)
	}
	for _, bad := range []tpm2.TPMSECCPoint{{}, {X: tpm2.TPM2BECCParameter{Buffer: make([]byte, 33)}}} {
		if _, err := compress(&bad); err == nil {
			t.Errorf("%v is a point", bad)
		}
	}
}
