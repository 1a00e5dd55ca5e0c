// Package soft is the HSM that is none: keys in a file under a passphrase, the
// durable memory in a file beside it. It keeps the contract of vault/hal, and
// promises only as much as files do: whoever holds the folder and the
// passphrase holds the keys, and whoever puts an older folder back puts the
// guess budget back, and the epoch keys that were destroyed since. A destroyed
// epoch key is written over in its place, so it is forgotten as far as the disk
// forgets: not in copies and snapshots, and perhaps not in the spare blocks of
// a flash disk or under a file system that copies on write.
package soft

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"strongroom/hsm/internal/folder"
	"strongroom/vault/hal"
)

// Kind is how status and the fleet's document name this provider.
const Kind = "soft"

const (
	keysFile   = "hsm.keys"
	memoryFile = "hsm.memory"
	epochsFile = "hsm.epochs"
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
	epochs *epochs
	write  func(path string, data []byte) error // folder.Replace
}

var _ hal.Mover = (*HSM)(nil)

// Create makes an HSM in dir, which must exist.
func Create(dir string, passphrase []byte, s Stretch) (*HSM, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	h := &HSM{dir: dir, lock: lock, write: folder.Replace, keys: keyring{Version: keyringVersion, Named: map[string]namedKey{}}}
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
	return h.saveKeys(h.keys) // last: a folder without it holds no HSM
}

// Open unlocks the HSM of a folder. A wrong passphrase is hal.ErrSecret.
func Open(dir string, passphrase []byte) (*HSM, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	h := &HSM{dir: dir, lock: lock, write: folder.Replace}
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

// unlock derives what the root gives and opens the files that stay open.
func (h *HSM) unlock(fresh bool) (err error) {
	if h.subs, err = h.keys.Root.derive(); err != nil {
		return err
	}
	if h.memory, err = openMemory(h.path(memoryFile), h.subs.memory, fresh); err != nil {
		return err
	}
	if h.epochs, err = openEpochs(h.path(epochsFile), h.subs.epochs, fresh); err != nil {
		return errors.Join(err, h.memory.close())
	}
	return nil
}

func (h *HSM) path(name string) string { return filepath.Join(h.dir, name) }

func (h *HSM) saveKeys(r keyring) error {
	sealed, err := h.kek.seal(r)
	if err != nil {
		return err
	}
	// Open reads no longer file: one key too many would lock all of them away.
	if len(sealed) > keysFileBytesMax {
		return hal.ErrFull
	}
	if err := h.write(h.path(keysFile), sealed); err != nil {
		return diskError(err)
	}
	return nil
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
	return errors.Join(h.memory.close(), h.epochs.close(), h.lock.Close())
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
	f, err := folder.Lock(dir, lockFile)
	if errors.Is(err, folder.ErrLocked) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	}
	return f, err
}
