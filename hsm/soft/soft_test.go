package soft

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

var passphrase = []byte("a passphrase")

type maker struct{}

func (maker) Groups() []hal.Group { return []hal.Group{hal.P256, hal.Ristretto255} }

func (maker) New(t *testing.T) hal.HAL {
	h, err := Create(t.TempDir(), passphrase, Cheap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func (maker) Reopen(t *testing.T, h hal.HAL) hal.HAL {
	dir := h.(*HSM).dir
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

// Rival has the folder in spite of its lock.
func (maker) Rival(t *testing.T, h hal.HAL) hal.HAL {
	dir := h.(*HSM).dir
	lock := filepath.Join(dir, lockFile)
	if err := os.Rename(lock, lock+".held"); err != nil {
		t.Fatal(err)
	}
	rival, err := Open(dir, passphrase)
	if err := errors.Join(err, os.Rename(lock+".held", lock)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rival.Close() })
	return rival
}

// PutBack puts nothing back: soft is nothing but files, and forgets only as
// far as they do.
func (m maker) PutBack(t *testing.T, h hal.HAL, change func(hal.HAL)) hal.HAL {
	change(h)
	return m.Reopen(t, h)
}

func TestContract(t *testing.T) { hsmtest.Run(t, maker{}) }

func TestMoving(t *testing.T) { hsmtest.RunMover(t, maker{}) }

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, passphrase); !errors.Is(err, ErrMissing) {
		t.Fatalf("an empty folder: %v", err)
	}
	h, err := Create(dir, passphrase, Cheap)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, passphrase); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second opening: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, passphrase, Cheap); !errors.Is(err, ErrExists) {
		t.Fatalf("a second making: %v", err)
	}
	if _, err := Open(dir, []byte("another")); !errors.Is(err, hal.ErrSecret) {
		t.Fatalf("a wrong passphrase: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, keysFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v %v", info.Mode(), err)
	}
}

func TestEveryByteOfTheKeysFile(t *testing.T) {
	dir := t.TempDir()
	h, err := Create(dir, passphrase, Cheap)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, keysFile))
	if err != nil || len(file) < 100 {
		t.Fatal(err, len(file))
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if _, _, err := openKeys(bad, passphrase); !errors.Is(err, ErrFile) && !errors.Is(err, hal.ErrSecret) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, _, err := openKeys(file[:i], passphrase); err == nil {
			t.Fatalf("cut at %d", i)
		}
	}
}

// TestTornMemory cuts a write at every byte: the old value stays.
func TestTornMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), memoryFile)
	key := secret{1}
	m, err := openMemory(path, key, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		old, next := fmt.Sprintf("value %d", i-1), fmt.Sprintf("value %d", i)
		if err := m.write([]byte(next)); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cuts := 0
		for at := range after {
			torn := append(bytes.Clone(after[:at]), before[at:]...)
			if bytes.Equal(torn, before) || bytes.Equal(torn, after) {
				continue
			}
			cuts++
			if got := reread(t, torn, key); (i > 0 || got != "") && got != old {
				t.Fatalf("torn at %d of write %d: read %q", at, i, got)
			}
		}
		if cuts < 20 {
			t.Fatalf("only %d cuts", cuts)
		}
	}
	both := bytes.Repeat([]byte{7}, slotBytes*slotsCount)
	if err := os.WriteFile(path, both, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openMemory(path, key, false); !errors.Is(err, hal.ErrTorn) {
		t.Fatalf("both slots damaged: %v", err)
	}
}

// TestTornEpochKey: what a stop within the destruction left is wiped at the
// next opening, for it could hold enough of the key.
func TestTornEpochKey(t *testing.T) {
	h := maker{}.New(t).(*HSM)
	if err := errors.Join(h.MakeEpochKey(1), h.MakeEpochKey(2)); err != nil {
		t.Fatal(err)
	}
	path := h.path(epochsFile)
	file, err := os.ReadFile(path)
	if err != nil || bytes.Equal(file[:slotBytes], make([]byte, slotBytes)) {
		t.Fatal("the first page holds no key", err)
	}
	clear(file[:epochHeader])
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	again := maker{}.Reopen(t, h)
	if list, err := again.EpochKeys(); err != nil || len(list) != 1 || list[0] != 2 {
		t.Fatal(list, err)
	}
	if file, err = os.ReadFile(path); err != nil || !allZero(file[:slotBytes]) || allZero(file[slotBytes:2*slotBytes]) {
		t.Fatal("the torn key is there, or the other is not", err)
	}
}

func reread(t *testing.T, file []byte, key secret) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), memoryFile)
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := openMemory(path, key, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	b, err := m.read()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzOpenKeys(f *testing.F) {
	k, err := newKEK(passphrase, Cheap)
	if err != nil {
		f.Fatal(err)
	}
	good, err := k.seal(keyring{Version: keyringVersion, Named: map[string]namedKey{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, file []byte) {
		params := len(keysMagic)
		if len(file) > params+8 && !bytes.Equal(file[params:params+9], good[params:params+9]) {
			return // other stretching: time and memory, no other code
		}
		if _, r, err := openKeys(file, passphrase); err == nil && (r.Root != secret{} || len(r.Named) != 0) {
			t.Fatal("a keyring that nobody sealed opens") // every worker of the fuzzer sealed one like good
		}
	})
}

func FuzzParseSlot(f *testing.F) {
	f.Add(make([]byte, slotBytes))
	f.Fuzz(func(t *testing.T, slot []byte) {
		if _, _, ok := parseSlot(secret{1}, slot); ok {
			t.Fatal("a slot that nobody wrote")
		}
	})
}

// A log line with the HSM in it must not hold its keys: fmt does not ask the
// unexported fields of a struct whether they refuse to print.
func TestHSMDoesNotPrint(t *testing.T) {
	h, err := Create(t.TempDir(), []byte("passphrase"), Cheap)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.MakeKey("k", hal.P256); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for name, secret := range map[string]secret{"root": h.keys.Root, "scalar": h.keys.Named["k"].Scalar, "kek": h.kek.key} {
			printed := fmt.Sprintf(verb, h)
			for _, form := range []string{"%v", "%d", "%x", "%#v"} {
				if raw := strings.Trim(fmt.Sprintf(form, [32]byte(secret)), "[]"); strings.Contains(printed, raw) {
					t.Errorf("%s prints the %s", verb, name)
				}
			}
		}
	}
}
