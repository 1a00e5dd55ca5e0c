package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// The data folder holds a lock and, once the fleet is made, the vault:
//
//	lock                 held by the process that serves
//	vault/fleet.cbor     the fleet document, public
//	vault/island.sealed  the island's keys, sealed by the HSM
//	vault/hsm/           the software HSM, or what the TPM wrapped
//	vault/hsm.passphrase only when none was given
//	vault/issuer.key     the built-in issuer's private key, if there is one
//	vault/log/           the sealed log since the last checkpoint
//	vault/records/       the record tree and its checkpoint
//	vault/island.json    where the island's other boxes are, if it has several
//	vault/node.key       the key by which their nodes know this one
//	vault/layouts.cbor   the fleet's founder, islands and layouts, if it has several
//	vault/alert.key      the alert key's private half, unless it is elsewhere
//	vault/alerts/        alerts, sealed to it
//
// The vault is made in "founding" and renamed when it is whole, so a crash
// leaves either no vault or all of it.
const (
	lockName       = "lock"
	foundingName   = "founding"
	vaultName      = "vault"
	fleetName      = "fleet.cbor"
	islandName     = "island.sealed"
	hsmName        = "hsm"
	passphraseName = "hsm.passphrase"
	issuerName     = "issuer.key"
	logName        = "log"
	recordsName    = "records"
)

// Errors that an operator meets; each is wrapped in a sentence that says what
// to do.
var (
	ErrFolder      = errors.New("the data folder can not be used")
	ErrInUse       = errors.New("the data folder is in use")
	ErrNoVault     = errors.New("there is no vault in this data folder")
	ErrPlain       = errors.New("plain HTTP is served on loopback addresses only")
	ErrCertificate = errors.New("the TLS certificate does not load")
	ErrPassphrase  = errors.New("the HSM's passphrase")
	ErrPolicy      = errors.New("the policy is fixed when the fleet is made")
	ErrIssuer      = errors.New("the account issuer's key")
	ErrUsage       = errors.New("this can not be asked for")
	ErrDamaged     = errors.New("the vault in this data folder does not open")
)

// folder is a data folder that this process holds the lock of.
type folder struct {
	path string
	lock *os.File
}

// openFolder makes the folder where it is missing and takes its lock.
func openFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := ours(path); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: another strongroomd serves from %s. Stop it first, or give this one another --data", ErrInUse, path)
	}
	return &folder{path, lock}, nil
}

// ours refuses a folder that holds something else: a vault made by mistake in
// the wrong place would serve a fleet that no client knows.
func ours(path string) error {
	found, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for _, f := range found {
		switch f.Name() {
		case vaultName:
			return nil
		case lockName, foundingName:
		default:
			return fmt.Errorf("%w: %s holds %q but no vault. Give --data an empty or new folder, or the one of an existing vault", ErrFolder, path, f.Name())
		}
	}
	return nil
}

func (f *folder) close() { f.lock.Close() }

func (f *folder) vault(name string) string { return inVault(f.path, name) }

func inVault(data, name string) string { return filepath.Join(data, vaultName, name) }

// hasVault says whether the fleet was made.
func (f *folder) hasVault() (bool, error) {
	_, err := os.Lstat(filepath.Join(f.path, vaultName))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// WriteDurable writes a new file, which is on the disk when it returns.
func WriteDurable(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReplaceFile replaces a file whole, so that either the old or the new one is
// read, and the new one is on the disk when it returns.
func ReplaceFile(path string, b []byte) error {
	beside := path + ".new"
	if err := os.RemoveAll(beside); err != nil {
		return err
	}
	if err := WriteDurable(beside, b); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
