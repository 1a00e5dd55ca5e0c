//go:build pkcs11 && cgo

package pkcs11

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// objects are the files of a SoftHSM2 store, by path.
func objects(t *testing.T, tokens string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(tokens, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".object") {
			return err
		}
		all[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(all) < 6 {
		t.Fatalf("%d object files: %v", len(all), err)
	}
	return all
}

// TestTornMemory cuts the file of the newest write, as a stop within it would,
// and reads what was before.
func TestTornMemory(t *testing.T) {
	tokens := store(t)
	h, c := made(t, "torn")
	for i := range 3 {
		old, next := fmt.Sprint("value ", i-1), fmt.Sprint("value ", i)
		before := objects(t, tokens)
		if err := h.WriteMemory([]byte(next)); err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		path, whole := "", []byte(nil)
		for name, data := range objects(t, tokens) {
			if _, found := before[name]; !found {
				path, whole = name, data
			}
		}
		if path == "" {
			t.Fatal("no new object was found: nothing would be torn")
		}
		for cut := 0; cut < len(whole); cut += 1 + len(whole)/9 {
			if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := reread(t, c); err != nil || (got != old && i > 0) || (i == 0 && got != "") {
				t.Errorf("write %d cut at %d of %d: %q %v", i, cut, len(whole), got, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := reread(t, c); err != nil || got != next {
			t.Fatalf("put back: %q %v", got, err)
		}
		h = opened(t, c)
	}
}

func reread(t *testing.T, c Config) (string, error) {
	t.Helper()
	h, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	b, err := h.ReadMemory()
	return string(b), err
}

// TestMemoryDamage: objects destroyed, written over by a stranger, or both.
func TestMemoryDamage(t *testing.T) {
	store(t)
	h, _ := made(t, "damage")
	for _, value := range []string{"one", "two"} {
		if err := h.WriteMemory([]byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(at int, value []byte) (was []byte) {
		inside(t, h, func(s *session) {
			o, err := s.single(p11.CKO_DATA, memoryName(at))
			if err == nil {
				was, err = s.get(o, p11.CKA_VALUE)
			}
			if err == nil {
				err = s.destroy(o)
			}
			if err == nil && value != nil {
				_, err = s.create(append(dataObject(memoryName(at), value), lasting...))
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		return was
	}
	read := func() string {
		got, err := h.ReadMemory()
		if err != nil {
			return err.Error()
		}
		return string(got)
	}
	two := replace(0, nil)
	if got := read(); got != "one" {
		t.Errorf("the newer destroyed: %q", got)
	}
	if err := h.WriteMemory([]byte("three")); err != nil || read() != "three" {
		t.Errorf("written after: %q %v", read(), err)
	}
	// A stranger who can write to the token but has not the HMAC key.
	forged := append(slotBody(pair.Slot{Sequence: 99, Data: []byte("forged")}), make([]byte, macBytes)...)
	third := replace(1, forged)
	if got := read(); got != "three" {
		t.Errorf("a value that nobody wrote: %q", got)
	}
	replace(1, third)
	one := replace(1, two)
	if got := read(); got != "three" {
		t.Errorf("the older's place taken by the newer's value: %q", got)
	}
	replace(0, one)
	if _, err := h.ReadMemory(); !errors.Is(err, hal.ErrTorn) {
		t.Errorf("each in the other's place: %v", err)
	}
	if err := h.WriteMemory([]byte("four")); !errors.Is(err, hal.ErrTorn) {
		t.Errorf("a write over what was lost would hide it: %v", err)
	}
}

// unable is a module whose token copies no objects.
type unable struct {
	cryptoki
	asked *int
}

func (u unable) CopyObject(p11.SessionHandle, p11.ObjectHandle, []*p11.Attribute) (p11.ObjectHandle, error) {
	*u.asked++
	return 0, p11.Error(p11.CKR_FUNCTION_NOT_SUPPORTED)
}

// TestMemoryWithoutCopies: such a token gets the object as it stands, and keeps
// no draft.
func TestMemoryWithoutCopies(t *testing.T) {
	store(t)
	h, c := made(t, "uncopied")
	asked := 0
	h.login.mu.Lock()
	h.login.ctx = unable{h.login.ctx, &asked}
	for _, s := range h.login.idle {
		s.ctx = h.login.ctx
	}
	h.login.mu.Unlock()
	for _, value := range []string{"one", "two", "three"} {
		if err := h.WriteMemory([]byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 3 {
		t.Errorf("%d copies were asked for instead of 3", asked)
	}
	inside(t, h, func(s *session) {
		left, err := s.findUpTo(10, template{attribute(p11.CKA_CLASS, p11.CKO_DATA)})
		if err != nil || len(left) != 1+slotsCount {
			t.Errorf("%d data objects: %v", len(left), err)
		}
	})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := reread(t, c); err != nil || got != "three" {
		t.Errorf("read back: %q %v", got, err)
	}
}
