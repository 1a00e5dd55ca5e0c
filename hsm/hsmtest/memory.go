package hsmtest

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"strongroom/vault/hal"
)

// KindMemory is how Memory names itself.
const KindMemory = "memory"

// epochPlaces is how many epoch keys a Memory holds.
const epochPlaces = 16

// Memory is one holder of an HSM that is nothing but memory: fast, for tests
// of many boxes. It keeps the whole contract, for P-256. Restore does to it
// what no token or TPM lets anybody do.
type Memory struct {
	chip *chip

	// All guarded by chip.mu.
	seen   uint64 // the chip's writes that this holder knows of
	broken error  // closed, or a write whose outcome is not known
	judge  func() Fault
}

// chip is the HSM itself, whoever holds it.
type chip struct {
	keys *Keys

	mu     sync.Mutex // guards what follows
	rand   io.Reader
	named  map[string]key // those of keys apart
	epochs map[uint64]cipher.AEAD
	memory []byte // nil: never written
	writes uint64 // and restores
}

// State is what time changes in an HSM: its durable memory and its epoch keys.
type State struct {
	memory []byte
	epochs map[uint64]cipher.AEAD
}

var _ hal.HAL = (*Memory)(nil)

// NewMemory makes an HSM of an island with these keys, and all else its own:
// identity, epoch keys, durable memory. Everything that it draws comes from
// rand, so that a test with a seed can be run again.
func NewMemory(k *Keys, rand io.Reader) *Memory {
	return &Memory{chip: &chip{keys: k, rand: rand, named: map[string]key{}, epochs: map[uint64]cipher.AEAD{}}}
}

// Again opens the same HSM for another holder, with no faults: the machine
// started again, or is a second one.
func (m *Memory) Again() *Memory {
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	return &Memory{chip: m.chip, seen: m.chip.writes}
}

// Judge says what happens to each step of m from now on; nil is nothing.
func (m *Memory) Judge(judge func() Fault) {
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	m.judge = judge
}

// Snapshot is what somebody has who copied the files of an HSM that is files.
func (m *Memory) Snapshot() State {
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	return State{bytes.Clone(m.chip.memory), maps.Clone(m.chip.epochs)}
}

// Restore puts them back. Who holds it finds its memory taken.
func (m *Memory) Restore(s State) {
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	m.chip.memory, m.chip.epochs = bytes.Clone(s.memory), maps.Clone(s.epochs)
	m.chip.writes++
}

// Kind names the provider.
func (m *Memory) Kind() string { return KindMemory }

// Format keeps the keys out of every verb.
func (*Memory) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "hsmtest.Memory(hidden)") }

// step is one step of a call: do is made under the chip's lock, once or, where
// a fault hits it, perhaps not. A lasting step needs room, and breaks m when
// its outcome is not known.
func (m *Memory) step(lasting bool, do func(c *chip) error) error {
	m.chip.mu.Lock()
	judge := m.judge
	m.chip.mu.Unlock()
	var f Fault
	if judge != nil {
		f = judge() // which may call us
	}
	if f.Wait > 0 {
		time.Sleep(f.Wait)
	}
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	switch {
	case m.broken != nil:
		return m.broken
	case f.Kind == Full && lasting:
		return hal.ErrFull
	case f.Kind == Cut || f.Kind == Lost:
		if f.Kind == Lost {
			_ = do(m.chip)
		}
		if lasting {
			m.broken = fmt.Errorf("%w: whether it was written is not known", hal.ErrGone)
		}
		return hal.ErrGone
	}
	return do(m.chip)
}

// Random fills p.
func (m *Memory) Random(p []byte) error {
	return m.step(false, func(c *chip) error {
		_, err := io.ReadFull(c.rand, p)
		return err
	})
}

// ReadMemory gives the durable memory.
func (m *Memory) ReadMemory() (p []byte, err error) {
	err = m.step(false, func(c *chip) error {
		p = bytes.Clone(c.memory)
		return nil
	})
	return p, err
}

// WriteMemory looks, and then writes if nobody else did: in two steps, of
// which the second one looks and writes at once.
func (m *Memory) WriteMemory(p []byte) error {
	if len(p) > hal.MemoryBytes {
		return fmt.Errorf("hsmtest: the durable memory holds %d bytes", hal.MemoryBytes)
	}
	look := func(c *chip) error {
		if m.seen != c.writes {
			return hal.ErrTaken
		}
		return nil
	}
	if err := m.step(true, look); err != nil {
		return err
	}
	return m.step(true, func(c *chip) error {
		if err := look(c); err != nil {
			return err
		}
		c.memory = append([]byte{}, p...)
		c.writes++
		m.seen = c.writes
		return nil
	})
}

// Seal seals under the island's key.
func (m *Memory) Seal(aad, plaintext []byte) (sealed []byte, err error) {
	err = m.step(false, func(c *chip) (err error) {
		sealed, err = sealValue(c.rand, c.keys.seal, aad, plaintext)
		return err
	})
	return sealed, err
}

// Open opens what Seal sealed, at any HSM of the island.
func (m *Memory) Open(aad, sealed []byte) (plaintext []byte, err error) {
	err = m.step(false, func(c *chip) (err error) {
		plaintext, err = openValue(c.keys.seal, aad, sealed, hal.ErrSealed)
		return err
	})
	return plaintext, err
}

// MakeEpochKey makes the key of an epoch.
func (m *Memory) MakeEpochKey(epoch uint64) error {
	return m.step(true, func(c *chip) error {
		switch {
		case c.epochs[epoch] != nil:
			return hal.ErrKeyExists
		case len(c.epochs) == epochPlaces:
			return hal.ErrFull
		}
		c.epochs[epoch] = newAEAD(c.rand)
		return nil
	})
}

// DestroyEpochKey forgets it, but for what Snapshot gave.
func (m *Memory) DestroyEpochKey(epoch uint64) error {
	return m.step(true, func(c *chip) error {
		delete(c.epochs, epoch)
		return nil
	})
}

// EpochKeys lists them.
func (m *Memory) EpochKeys() (epochs []uint64, err error) {
	err = m.step(false, func(c *chip) error {
		epochs = slices.Sorted(maps.Keys(c.epochs))
		return nil
	})
	return epochs, err
}

// SealEpoch seals under the key of an epoch.
func (m *Memory) SealEpoch(epoch uint64, aad, plaintext []byte) (sealed []byte, err error) {
	if len(plaintext) > hal.EpochPlaintextMax {
		return nil, fmt.Errorf("hsmtest: an epoch key seals at most %d bytes", hal.EpochPlaintextMax)
	}
	err = m.step(false, func(c *chip) (err error) {
		k := c.epochs[epoch]
		if k == nil {
			return hal.ErrNoKey
		}
		sealed, err = sealValue(c.rand, k, aad, plaintext)
		return err
	})
	return sealed, err
}

// OpenEpoch opens what SealEpoch sealed.
func (m *Memory) OpenEpoch(epoch uint64, aad, sealed []byte) (plaintext []byte, err error) {
	err = m.step(false, func(c *chip) (err error) {
		k := c.epochs[epoch]
		if k == nil {
			return hal.ErrNoKey
		}
		plaintext, err = openValue(k, aad, sealed, hal.ErrSealed)
		return err
	})
	return plaintext, err
}

// Close ends this holder, not the HSM.
func (m *Memory) Close() error {
	m.chip.mu.Lock()
	defer m.chip.mu.Unlock()
	m.broken = hal.ErrGone
	return nil
}
