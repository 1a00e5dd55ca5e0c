package soft

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"strongroom/hsm/internal/folder"
	"strongroom/hsm/internal/once"
	"strongroom/vault/hal"
)

// The epoch keys' file: places of one page each, so that a write touches no
// other. A place is epoch (8) || the key, sealed; all zero where there is none.
// A key is destroyed by writing over it where it lies: replacing the file
// would leave it in the old one's blocks.

const (
	epochPlaces    = 16
	epochHeader    = 8
	epochKeySealed = 32 + once.Overhead
)

var errPlaintext = fmt.Errorf("soft: an epoch key seals at most %d bytes", hal.EpochPlaintextMax)

type epochs struct {
	mu     sync.Mutex // guards what follows
	file   disk
	key    secret
	keys   map[uint64]epochKey
	broken error // of a write whose outcome is not known
}

type epochKey struct {
	place int
	key   secret
}

// openEpochs opens the file, and makes it where it is fresh, or where the HSM
// is from before there were epochs.
func openEpochs(path string, key secret, fresh bool) (*epochs, error) {
	if _, err := os.Lstat(path); fresh || errors.Is(err, os.ErrNotExist) {
		if err := folder.Replace(path, make([]byte, slotBytes*epochPlaces)); err != nil {
			return nil, diskError(err)
		}
	}
	f, err := openDisk(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	e := &epochs{file: f, key: key, keys: map[uint64]epochKey{}}
	if err := e.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return e, nil
}

// load reads all places. What does not open was torn when it was made or when
// it was destroyed; that is brought to its end.
func (e *epochs) load() error {
	page := make([]byte, slotBytes)
	for place := range epochPlaces {
		if _, err := e.file.ReadAt(page, int64(place*slotBytes)); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFile, epochsFile, err)
		}
		if allZero(page) {
			continue
		}
		epoch, header := binary.BigEndian.Uint64(page), page[:epochHeader]
		k, err := openOnce(e.key, header, page[epochHeader:epochHeader+epochKeySealed])
		if err != nil || len(k) != len(secret{}) {
			if err := e.fill(place, nil); err != nil {
				return err
			}
			continue
		}
		e.keys[epoch] = epochKey{place, secret(k)}
		clear(k)
	}
	return nil
}

// fill writes a place and waits for the disk.
func (e *epochs) fill(place int, content []byte) error {
	page := make([]byte, slotBytes)
	copy(page, content)
	_, err := e.file.WriteAt(page, int64(place*slotBytes))
	if full := diskError(err); errors.Is(full, hal.ErrFull) {
		return fmt.Errorf("epoch keys: %w", full) // what is written next here is the whole page again
	}
	if err == nil {
		err = e.file.Sync()
	}
	if err != nil {
		e.broken = fmt.Errorf("epoch keys: %w", diskError(err))
	}
	return e.broken
}

func (e *epochs) free() (place int, ok bool) {
	used := [epochPlaces]bool{}
	for _, k := range e.keys {
		used[k.place] = true
	}
	place = slices.Index(used[:], false)
	return place, place >= 0
}

func (e *epochs) make(epoch uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	if _, found := e.keys[epoch]; found {
		return hal.ErrKeyExists
	}
	place, ok := e.free()
	if !ok {
		return fmt.Errorf("%w: there are %d epoch keys; destroy one first", hal.ErrFull, epochPlaces)
	}
	k := epochKey{place: place}
	if _, err := rand.Read(k.key[:]); err != nil {
		return err
	}
	header := binary.BigEndian.AppendUint64(nil, epoch)
	sealed, err := sealOnce(e.key, header, k.key[:])
	if err != nil {
		return err
	}
	if err := e.fill(place, append(header, sealed...)); err != nil {
		return err
	}
	e.keys[epoch] = k
	return nil
}

func (e *epochs) find(epoch uint64) (secret, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return secret{}, e.broken
	}
	k, found := e.keys[epoch]
	if !found {
		return secret{}, hal.ErrNoKey
	}
	return k.key, nil
}

func (e *epochs) destroy(epoch uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	k, found := e.keys[epoch]
	if !found {
		return nil
	}
	if err := e.fill(k.place, nil); err != nil {
		return err
	}
	delete(e.keys, epoch)
	return nil
}

func (e *epochs) list() ([]uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.keys)), e.broken
}

func (e *epochs) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = hal.ErrGone
	clear(e.keys)
	return e.file.Close()
}

// MakeEpochKey makes the key of an epoch in its file.
func (h *HSM) MakeEpochKey(epoch uint64) error { return h.epochs.make(epoch) }

// DestroyEpochKey writes over it: see the package's comment.
func (h *HSM) DestroyEpochKey(epoch uint64) error { return h.epochs.destroy(epoch) }

// EpochKeys are the epochs whose keys exist.
func (h *HSM) EpochKeys() ([]uint64, error) { return h.epochs.list() }

// SealEpoch seals under the key of an epoch.
func (h *HSM) SealEpoch(epoch uint64, aad, plaintext []byte) ([]byte, error) {
	if len(plaintext) > hal.EpochPlaintextMax {
		return nil, errPlaintext
	}
	k, err := h.epochs.find(epoch)
	if err != nil {
		return nil, err
	}
	return sealOnce(k, aad, plaintext)
}

// OpenEpoch undoes SealEpoch, or gives hal.ErrSealed.
func (h *HSM) OpenEpoch(epoch uint64, aad, sealed []byte) ([]byte, error) {
	k, err := h.epochs.find(epoch)
	if err != nil {
		return nil, err
	}
	plaintext, err := openOnce(k, aad, sealed)
	if err != nil {
		return nil, hal.ErrSealed
	}
	return plaintext, nil
}
