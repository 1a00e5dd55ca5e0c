// Package folder is strongroom's data folder on a person's machine: the
// backup key (mode 0600), the settings, the backup engine's cache and the
// recovery card.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"strongroom/client"
)

// Names inside the folder.
const (
	keyName      = "key"
	settingsName = "settings.json"
	stateName    = "state"
	cardName     = "recovery-card.txt"
	lockName     = "lock"
	proofName    = "recovery-proof"
)

const fileBytesMax = 64 << 10 // of any one file that is read whole

var (
	// ErrEmpty: nothing was set up in this folder.
	ErrEmpty = errors.New("backups are not set up here")
	// ErrInUse: another strongroom works in this folder.
	ErrInUse = errors.New("another strongroom is at work here")
	// ErrSettings: the settings do not parse.
	ErrSettings = errors.New("the settings file is damaged")
	// ErrKeyFile: the key file does not parse.
	ErrKeyFile = errors.New("the key file is damaged")
)

// Folder is a data folder. Its zero value is none.
type Folder struct{ Path string }

// Default is the folder of a person who named none: $XDG_DATA_HOME/strongroom.
func Default() string {
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "strongroom")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "strongroom-data"
	}
	return filepath.Join(home, ".local", "share", "strongroom")
}

// State is where the backup engine keeps its cache.
func (f Folder) State() string { return filepath.Join(f.Path, stateName) }

// Card is where the recovery card lies.
func (f Folder) Card() string { return filepath.Join(f.Path, cardName) }

// KeyFile is where the backup key lies.
func (f Folder) KeyFile() string { return filepath.Join(f.Path, keyName) }

// Key reads the backup key; fs.ErrNotExist where there is none.
func (f Folder) Key() (client.Key, error) {
	b, err := readFile(f.KeyFile())
	if err != nil {
		return client.Key{}, err
	}
	k, err := client.ParseKey(string(b))
	if err != nil {
		return client.Key{}, fmt.Errorf("%w: %s", ErrKeyFile, f.KeyFile())
	}
	return k, nil
}

// PutKey makes the key durable before it returns. A key that lies there
// already is never overwritten by another: it may be the only copy.
func (f Folder) PutKey(k client.Key) error {
	old, err := f.Key()
	if err == nil && old == k {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds another key already; it was not touched", f.KeyFile())
	}
	return writeFile(f.KeyFile(), []byte(k.Reveal()+"\n"))
}

// Proof reads what a recovery left whose last answer was lost; nil where
// there is none, or none that parses: then a new attempt is the way.
func (f Folder) Proof() *client.Proof {
	b, err := readFile(filepath.Join(f.Path, proofName))
	if err != nil {
		return nil
	}
	p, err := client.ParseProof(b)
	if err != nil {
		return nil
	}
	return p
}

// PutProof keeps a proof as the key is kept: mode 0600, durable.
func (f Folder) PutProof(p *client.Proof) error {
	b, err := p.Encode()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.Path, proofName), b)
}

// DropProof removes it: it opens the record.
func (f Folder) DropProof() error { return remove(filepath.Join(f.Path, proofName)) }

// WriteCard makes the recovery card durable.
func (f Folder) WriteCard(text string) error { return writeFile(f.Card(), []byte(text)) }

// Make makes the folder if it is not there.
func (f Folder) Make() error { return os.MkdirAll(f.Path, 0o700) }

// asidePattern is of files on their way to their names.
const asidePattern = ".new-*"

// sweep removes what a killed run left on the way to its name. Attack: such a
// file may hold the whole key, and outlive a disable that says that the key is
// gone. Only for who holds the lock.
func (f Folder) sweep() error {
	left, err := filepath.Glob(filepath.Join(escapeGlob(f.Path), asidePattern))
	for _, path := range left {
		err = errors.Join(err, remove(path))
	}
	return err
}

var globEscapes = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`)

func escapeGlob(path string) string { return globEscapes.Replace(path) }

// Forget removes key, card, cache and settings, in this order: killed on the
// way it can be called again, and never leaves a key behind that no settings
// tell of. What else lies in the folder stays.
func (f Folder) Forget() error {
	if err := errors.Join(remove(f.KeyFile()), remove(f.Card()), f.DropProof(), remove(filepath.Join(f.Path, lastRunName)), os.RemoveAll(f.State())); err != nil {
		return err
	}
	return remove(filepath.Join(f.Path, settingsName))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, fileBytesMax)
	}
	return os.ReadFile(path)
}

// writeFile: aside, fsync, rename, fsync of the folder.
func writeFile(path string, b []byte) (err error) {
	aside, err := os.CreateTemp(filepath.Dir(path), asidePattern) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, aside.Close(), remove(aside.Name()))
		}
	}()
	if _, err := aside.Write(b); err != nil {
		return err
	}
	if err := aside.Sync(); err != nil {
		return err
	}
	if err := os.Rename(aside.Name(), path); err != nil {
		return err
	}
	if err := aside.Close(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
