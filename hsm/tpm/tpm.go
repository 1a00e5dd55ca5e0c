// Package tpm is the HSM that many machines have: a TPM 2.0 (TCG TPM 2.0
// Library, revision 1.59). Section numbers in the comments are of that.
//
// Life of a key: TPM2_Create makes it under a storage key that only this TPM
// can derive again; it leaves the TPM as two areas, the private one encrypted
// and bound to the public one. To use it, they are loaded, TPM2_ECDH_ZGen
// gives the whole point, and what was loaded is flushed, also after an error.
// Named keys live in the same form in a file: persistent handles are few,
// shared by everything on the machine, and need the owner's password.
//
// What a thief gains. Of the folder: nothing, without this TPM. Of the folder
// and the right to talk to this TPM (root): all keys may be used, none taken
// away. With an owner's password, which is not stored here, the second needs
// that too, or our process. Who listens at the TPM's bus sees points, wrapped
// keys and public areas; the answers of ECDH_ZGen and Unseal and the durable
// memory pass encrypted and authenticated. He can try guesses of the owner's
// password, so let it be a random one. Wrapped keys are as strong as AES-128,
// which is what every TPM has.
//
// The durable memory is in the TPM's NV: putting the folder back does not put
// it back. Two things to know before one uses it. A software TPM (swtpm) is as
// good as the disk that holds its state. And a real TPM's NV wears out after
// some 100,000 writes and slows down before: the vault writes its memory once
// a commit, so this suits a vault with hundreds of commits a day, not a second.
package tpm

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"strongroom/hsm/internal/pair"
	"strongroom/vault/hal"
)

// Kind is how status and the fleet's document name this provider.
const Kind = "tpm"

// PathDefault is Linux's device with a resource manager.
const PathDefault = "/dev/tpmrm0"

var (
	// ErrExists: Create found an HSM in the folder; nothing was changed.
	ErrExists = errors.New("tpm: the folder holds an HSM already")
	// ErrMissing: Open found none.
	ErrMissing = errors.New("tpm: the folder holds no HSM")
	// ErrLocked: another process has it open.
	ErrLocked = errors.New("tpm: another process uses this HSM")
	// ErrFile: the file of keys is not one of ours, or was damaged.
	ErrFile = errors.New("tpm: the HSM's file is damaged")
	// ErrOther: this is not the TPM that the vault was made with, or it was cleared.
	ErrOther = errors.New("tpm: another TPM, or a cleared one")
	// ErrTooLarge: more than hal.MemoryBytes.
	ErrTooLarge = errors.New("tpm: the durable memory holds 1,024 bytes")
	// ErrName: a key's name has 1 to 64 bytes.
	ErrName = errors.New("tpm: not a name for a key")
)

// Options say how to reach a TPM.
type Options struct {
	Path      string        // device or unix socket; "" is PathDefault
	OwnerAuth []byte        // the owner hierarchy's password; none by default
	Wait      time.Duration // for one command; 0 is 30 s
}

// String hides the password.
func (o Options) String() string { return "tpm.Options(" + o.Path + ")" }

// GoString hides the password.
func (o Options) GoString() string { return o.String() }

func (o Options) withDefaults() Options {
	if o.Path == "" {
		o.Path = PathDefault
	}
	o.OwnerAuth = bytes.Clone(o.OwnerAuth)
	if o.Wait == 0 {
		o.Wait = commandWaitDefault
	}
	return o
}

// HSM is one vault's part of a TPM.
type HSM struct {
	options Options
	folder  *place
	turn    chan struct{} // holds one token: who has put it in talks to the TPM
	closed  chan struct{}
	once    sync.Once

	at     *attached   // guarded by turn; nil without a connection
	memory pair.Memory // guarded by turn

	mu   sync.RWMutex // guards what follows; taken after turn, never while the TPM is asked
	gone bool
	keys keyring
	root secret
}

var _ hal.HAL = (*HSM)(nil)

func newHSM(dir string, o Options) (*HSM, error) {
	if bytes.IndexByte(o.OwnerAuth, 0) >= 0 { // see nvPassword
		return nil, fmt.Errorf("%w: an owner's password with zero bytes does not work here. Nothing was changed; set another one", hal.ErrSecret)
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	return &HSM{options: o.withDefaults(), folder: f, turn: make(chan struct{}, 1), closed: make(chan struct{})}, nil
}

// Create makes an HSM: its keys' file in dir, which must exist, and two NV
// indexes of the owner hierarchy.
func Create(dir string, o Options) (*HSM, error) {
	h, err := newHSM(dir, o)
	if err != nil {
		return nil, err
	}
	if err := h.create(); err != nil {
		return nil, errors.Join(explain(err), h.Close())
	}
	return h, nil
}

func (h *HSM) create() (err error) {
	if found, err := h.folder.has(); err != nil || found {
		return errors.Join(ErrExists, err)
	}
	if _, err := rand.Read(h.keys.salt[:]); err != nil {
		return err
	}
	if h.at, err = attach(h.options, h.keys.salt, nil, h.closed); err != nil {
		return err
	}
	h.keys.storage = h.at.point
	if err := h.makeRoot(); err != nil {
		return err
	}
	if err := h.defineMemory(); err != nil {
		return err
	}
	if err := h.save(); err != nil { // last: a folder without it holds no HSM
		return errors.Join(err, h.undefineMemory())
	}
	return nil
}

// Open opens the HSM of a folder with the TPM that it was made with.
func Open(dir string, o Options) (*HSM, error) {
	h, err := newHSM(dir, o)
	if err != nil {
		return nil, err
	}
	if err := h.open(); err != nil {
		return nil, errors.Join(explain(err), h.Close())
	}
	return h, nil
}

func (h *HSM) open() error {
	if err := h.unlock(); err != nil {
		return err
	}
	_, err := h.ReadMemory()
	return err
}

// unlock reads the keys' file and unseals the root.
func (h *HSM) unlock() error {
	file, err := h.folder.read()
	if err != nil {
		return err
	}
	if h.keys, err = parseKeys(file); err != nil {
		return err
	}
	err = h.do(func(a *attached) (err error) {
		h.root, err = a.unseal(h.keys.root)
		return err
	})
	if err != nil {
		return err
	}
	if !h.keys.checks(file, h.root) {
		return fmt.Errorf("%w: %s", ErrFile, keysFile)
	}
	return nil
}

// Remove takes the HSM of a folder out of its TPM and out of the folder: all
// that it sealed and wrapped is lost. Where a founding was interrupted, it
// gives the TPM its NV room back.
func Remove(dir string, o Options) error {
	h, err := newHSM(dir, o)
	if err != nil {
		return err
	}
	if err = h.unlock(); err == nil {
		err = h.do(func(a *attached) error { return errors.Join(h.undefineEpochs(a), h.undefineMemory()) })
	}
	if err == nil {
		err = os.Remove(h.folder.path())
	}
	return errors.Join(explain(err), h.Close())
}

// Kind names the provider.
func (h *HSM) Kind() string { return Kind }

// Close forgets what is unlocked and lets another process open the folder. It
// does not wait for a TPM that is slow.
func (h *HSM) Close() (err error) {
	h.once.Do(func() {
		close(h.closed) // who waits for the TPM now gets hal.ErrGone
		h.turn <- struct{}{}
		defer func() { <-h.turn }()
		if h.at != nil {
			h.at.detach()
			h.at = nil
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.gone, h.keys = true, keyring{}
		clear(h.root[:])
		clear(h.options.OwnerAuth)
		err = h.folder.close()
	})
	return err
}
