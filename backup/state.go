package backup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// state is what this device remembers of its last backup: a cache. A file
// that looks as it did then is not read again. It is checked against K, and
// whatever it says of segments is checked against the repository's index, so
// that a lost, old or garbled state costs bytes and never a good segment.
//
// It is one file for each root, in the order of the walk, read and written as
// a stream: what is remembered of a million files is never in memory.
type state struct {
	folder string
	key    [sha256.Size]byte
}

// seen is one file as it was.
type seen struct {
	Path     string        `cbor:"1,keyasint"` // below its root, slash-separated
	Stat     scan.Stat     `cbor:"2,keyasint"`
	Racy     bool          `cbor:"3,keyasint"` // may have changed since without showing it
	IDs      []byte        `cbor:"4,keyasint"` // of a plain file's segments, joined
	Database *seenDatabase `cbor:"5,keyasint,omitempty"`

	Attributes []pack.Attribute `cbor:"6,keyasint,omitempty"` // of a plain file
}

// seenDatabase is what there is more to a database.
type seenDatabase struct {
	Log   scan.Stat         `cbor:"1,keyasint"` // of its write-ahead log; zero if none or empty
	Image [sha256.Size]byte `cbor:"2,keyasint"` // hash of its image file
}

const (
	stateVersion  = 3 // 1 knew no extended attributes, 2 was one file in any order
	statePrefix   = "state"
	stateBytesMax = 1 << 30 // of a file that is read whole
)

// openState gives the state of a repository below stateDir.
func (r *Repository) openState(stateDir string) (*state, error) {
	folder, err := r.openStateFolder(stateDir)
	if err != nil {
		return nil, err
	}
	return &state{folder: folder, key: r.stateKey}, nil
}

// openStateFolder gives the folder of this repository's local state.
func (r *Repository) openStateFolder(stateDir string) (string, error) {
	id := r.ID()
	folder := filepath.Join(stateDir, hex.EncodeToString(id[:]))
	return folder, local(ErrState, os.MkdirAll(folder, 0o700))
}

// readFile reads a file of the local state, if its size is sane.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > stateBytesMax {
		err = errors.New("backup: local state too large")
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// replace replaces one file of the state. It is not synced: a torn one does
// not check.
func (s *state) replace(name string, b []byte) error {
	return writeState(filepath.Join(s.folder, name), b)
}

func writeState(path string, b []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

const imagePrefix = "image-"

func imageFile(path string) string {
	sum := sha256.Sum256([]byte(path))
	return imagePrefix + hex.EncodeToString(sum[:16])
}

// saveImage keeps a database's image and gives its hash.
func (s *state) saveImage(path string, m *chunk.Image) ([sha256.Size]byte, error) {
	b := m.Bytes()
	return sha256.Sum256(b), s.replace(imageFile(path), b)
}

// image gives the image of a database that was seen as f, nil if it is not
// the one remembered.
func (s *state) image(path string, f *seen) *chunk.Image {
	if f == nil || f.Database == nil {
		return nil
	}
	b, err := readFile(filepath.Join(s.folder, imageFile(path)))
	if err != nil || sha256.Sum256(b) != f.Database.Image {
		return nil
	}
	m, err := chunk.ParseImage(b)
	if err != nil {
		return nil
	}
	return m
}

// sweep deletes what is remembered of other roots, images and last pages that
// belong to none of the databases (full paths), and what a killed run left.
func (s *state) sweep(roots, databases []string) {
	live := map[string]bool{}
	for _, root := range roots {
		live[stateFile(root)] = true
	}
	for _, path := range databases {
		live[imageFile(path)], live[lastPagesFile(path)] = true, true
	}
	entries, _ := os.ReadDir(s.folder)
	for _, e := range entries {
		for _, prefix := range []string{statePrefix, imagePrefix, itemsPrefix, lastPagesPrefix} {
			if strings.HasPrefix(e.Name(), prefix) && !live[e.Name()] {
				os.Remove(filepath.Join(s.folder, e.Name()))
			}
		}
	}
}

func joinIDs(ids []pack.ID) []byte {
	out := make([]byte, 0, len(ids)*len(pack.ID{}))
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	return out
}

func splitIDs(b []byte) []pack.ID {
	out := make([]pack.ID, len(b)/len(pack.ID{}))
	for i := range out {
		out[i] = pack.ID(b[i*len(pack.ID{}):])
	}
	return out
}

const deviceFile = "device"

// device gives this device's random id, made at its first backup. It is the
// same for every repository.
func device(stateDir string) (id pack.DeviceID, err error) {
	path := filepath.Join(stateDir, deviceFile)
	if b, err := readFile(path); err == nil {
		if n, err := hex.Decode(id[:], []byte(strings.TrimSpace(string(b)))); err == nil && n == len(id) {
			return id, nil
		}
	}
	return newDevice(stateDir)
}

// newDevice takes a new id.
func newDevice(stateDir string) (id pack.DeviceID, err error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return id, local(ErrState, err)
	}
	rand.Read(id[:])
	return id, local(ErrState, os.WriteFile(filepath.Join(stateDir, deviceFile), []byte(hex.EncodeToString(id[:])+"\n"), 0o600))
}
