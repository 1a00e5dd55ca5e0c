// Package soft is the HSM that is none: keys in a file under a passphrase, the
// durable memory in a file beside it. It keeps the contract of vault/hal, and
// promises only as much as files do: whoever holds the folder and the
// passphrase holds the keys, and whoever puts an older folder back puts the
// guess budget back.
package soft

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"strongroom/vault/hal"
)

// Kind is how status and the fleet's document name this provider.
const Kind = "soft"

const (
	keysFile   = "hsm.keys"
	memoryFile = "hsm.memory"
	lockFile   = "hsm.lock"
)

var (
	// ErrExists: Create found an HSM in the folder; nothing was changed.
	ErrExists = errors.New("soft: the folder holds an HSM already")
	// ErrMissing: Open found none.
	ErrMissing = errors.New("soft: the folder holds no HSM")
	// ErrLocked: another process has it open.
	ErrLocked = errors.New("soft: another process uses this HSM")
	// ErrFile: a file is not one of ours, or was damaged.
	ErrFile = errors.New("soft: a file of the HSM is damaged")
)

// HSM is one opened folder.
type HSM struct {
	dir  string
	lock *os.File

	mu     sync.RWMutex // guards what follows
	closed bool
	kek    *kek
	keys   keyring
	subs   *subkeys

	memory *memory
}

var _ hal.HAL = (*HSM)(nil)

// Create makes an HSM in dir, which must exist.
func Create(dir string, passphrase []byte, s Stretch) (*HSM, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	h := &HSM{dir: dir, lock: lock, keys: keyring{Version: keyringVersion, Named: map[string]namedKey{}}}
	if err := h.create(passphrase, s); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return h, nil
}

func (h *HSM) create(passphrase []byte, s Stretch) error {
	if _, err := os.Lstat(h.path(keysFile)); err == nil {
		return ErrExists
	}
	if _, err := rand.Read(h.keys.Root[:]); err != nil {
		return err
	}
	var err error
	if h.kek, err = newKEK(passphrase, s); err != nil {
		return err
	}
	if err = h.unlock(true); err != nil {
		return err
	}
	return h.saveKeys() // last: a folder without it holds no HSM
}

// Open unlocks the HSM of a folder. A wrong passphrase is hal.ErrSecret.
func Open(dir string, passphrase []byte) (*HSM, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	h := &HSM{dir: dir, lock: lock}
	if err := h.open(passphrase); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return h, nil
}

func (h *HSM) open(passphrase []byte) error {
	file, err := os.ReadFile(h.path(keysFile))
	if errors.Is(err, os.ErrNotExist) {
		return ErrMissing
	}
	if err != nil {
		return err
	}
	if h.kek, h.keys, err = openKeys(file, passphrase); err != nil {
		return err
	}
	return h.unlock(false)
}

// unlock derives what the root gives and opens the memory.
func (h *HSM) unlock(fresh bool) (err error) {
	if h.subs, err = h.keys.Root.derive(); err != nil {
		return err
	}
	h.memory, err = openMemory(h.path(memoryFile), h.subs.memory, fresh)
	return err
}

func (h *HSM) path(name string) string { return filepath.Join(h.dir, name) }

func (h *HSM) saveKeys() error {
	sealed, err := h.kek.seal(h.keys)
	if err != nil {
		return err
	}
	// Open reads no longer file: one key too many would lock all of them away.
	if len(sealed) > keysFileBytesMax {
		return hal.ErrFull
	}
	err = writeFile(h.path(keysFile), sealed)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", hal.ErrFull, err)
	}
	return err
}

// Kind names the provider.
func (h *HSM) Kind() string { return Kind }

// Format keeps the keys out of every verb: fmt asks no unexported field
// whether it refuses to print.
func (*HSM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "soft.HSM(hidden)") }

// Random fills p from the operating system's generator.
func (h *HSM) Random(p []byte) error {
	_, err := rand.Read(p)
	return err
}

// Close forgets the keys and lets another process open the folder.
func (h *HSM) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	h.keys, h.subs, h.kek = keyring{}, nil, nil
	return errors.Join(h.memory.close(), h.lock.Close())
}

// secrets are the derived keys, or hal.ErrGone after Close.
func (h *HSM) secrets() (*subkeys, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return nil, hal.ErrGone
	}
	return h.subs, nil
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	return f, nil
}

// writeFile replaces a file so that either the old or the new one is read,
// also after a power cut.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
