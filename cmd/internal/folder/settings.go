package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

const settingsVersion = 1

// Stage says how far the setting up has come.
type Stage string

// Stages. Pending: the key lies here, but the way back to it is not yet
// proven; `enable` goes on from there.
const (
	Pending Stage = "pending"
	Enabled Stage = "enabled"
)

// Way is how a person gets the key back on another machine.
type Way string

// Ways.
const (
	ByPassword Way = "password" // from the vault
	ByKey      Way = "key"      // from paper
)

// Settings is what the folder knows beside the key. Nothing in it is secret
// but the place of the token file.
type Settings struct {
	Version    int         `json:"version"`
	Stage      Stage       `json:"stage"`
	Way        Way         `json:"way"`
	Vault      *VaultPlace `json:"vault,omitempty"`
	Repository Repository  `json:"repository"`
	Paths      []string    `json:"paths,omitempty"` // of the last backup
	Generation string      `json:"generation,omitempty"`
	Leave                  // of the last backup
}

// Leave says what a backup leaves out.
type Leave struct {
	Exclude       []string `json:"exclude,omitempty"`
	Caches        bool     `json:"excludeCaches,omitempty"`
	LargerThan    int64    `json:"excludeLargerThan,omitempty"` // bytes; 0 none
	OneFileSystem bool     `json:"oneFileSystem,omitempty"`
}

// Nothing tells whether nothing is left out.
func (l Leave) Nothing() bool {
	return len(l.Exclude) == 0 && !l.Caches && l.LargerThan == 0 && !l.OneFileSystem
}

// VaultPlace says which record, at which vault.
type VaultPlace struct {
	URL     string `json:"url"`
	Pin     string `json:"pin"`
	Account string `json:"account"`
	Tokens  string `json:"tokens"`            // path of the token file
	Stretch string `json:"stretch,omitempty"` // default, low-memory
	Layout  uint64 `json:"layout,omitempty"`  // the newest of the fleet's islands that was seen: no older one is believed
}

// Repository says where the backup lies.
type Repository struct {
	URL string `json:"url"`
	ID  string `json:"id,omitempty"` // hexadecimal
}

// Settings reads the settings. Errors: ErrEmpty, ErrSettings.
func (f Folder) Settings() (Settings, error) {
	b, err := readFile(filepath.Join(f.Path, settingsName))
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, fmt.Errorf("%w (%s)", ErrEmpty, f.Path)
	}
	if err != nil {
		return Settings{}, err
	}
	s, err := parseSettings(b)
	if err != nil {
		return Settings{}, fmt.Errorf("%w (%s)", err, filepath.Join(f.Path, settingsName))
	}
	return s, nil
}

// PutSettings makes the settings durable.
func (f Folder) PutSettings(s Settings) error {
	s.Version = settingsVersion
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(f.Path, settingsName), append(b, '\n'))
}

func parseSettings(b []byte) (Settings, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var s Settings
	if err := d.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, fmt.Errorf("%w: text after its end", ErrSettings)
	}
	switch {
	case s.Version != settingsVersion:
		return Settings{}, fmt.Errorf("%w: version %d, this program knows %d", ErrSettings, s.Version, settingsVersion)
	case s.Stage != Pending && s.Stage != Enabled:
		return Settings{}, fmt.Errorf("%w: stage %q", ErrSettings, s.Stage)
	case s.Way != ByPassword && s.Way != ByKey:
		return Settings{}, fmt.Errorf("%w: way %q", ErrSettings, s.Way)
	case s.Way == ByPassword && s.Vault == nil:
		return Settings{}, fmt.Errorf("%w: no vault", ErrSettings)
	}
	return s, nil
}
