package soft

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"strongroom/hsm/internal/folder"
	"strongroom/vault/hal"
)

// The memory's file: two slots, written in turn, so that a torn write leaves
// the other whole. A slot is sequence (8) || length (2) || data || HMAC-SHA256
// (RFC 2104) over all before it; all zero when never written.

const (
	slotBytes  = 4096 // one page: a slot's write touches no other slot
	slotsCount = 2
	slotHeader = 10
	slotMAC    = sha256.Size
)

// ErrTooLarge: more than hal.MemoryBytes.
var ErrTooLarge = errors.New("soft: the durable memory holds 1,024 bytes")

type memory struct {
	mu       sync.Mutex // guards what follows
	file     disk
	key      secret
	sequence uint64
	data     []byte
	slots    [slotsCount][slotBytes]byte // the file, as it was last read or written
	broken   error                       // of a write whose outcome is not known
	taken    bool                        // a write found what another holder had written
}

// openMemory opens the file; fresh makes it.
func openMemory(path string, key secret, fresh bool) (*memory, error) {
	if fresh {
		if err := folder.Replace(path, make([]byte, slotBytes*slotsCount)); err != nil {
			return nil, err
		}
	}
	f, err := openDisk(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", hal.ErrTorn, err)
	}
	m := &memory{file: f, key: key}
	if err := m.load(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return m, nil
}

// load takes the newest whole slot. One that never was written beside a torn
// one is the state before the first write.
func (m *memory) load() error {
	torn, empty := 0, 0
	for i := range slotsCount {
		slot := m.slots[i][:]
		if _, err := m.file.ReadAt(slot, int64(i*slotBytes)); err != nil {
			return fmt.Errorf("%w: %w", hal.ErrTorn, err)
		}
		sequence, data, ok := parseSlot(m.key, slot)
		switch {
		case ok && sequence > m.sequence:
			m.sequence, m.data = sequence, data
		case !ok && allZero(slot):
			empty++
		case !ok:
			torn++
		}
	}
	if m.sequence == 0 && torn > 0 && empty == 0 {
		return hal.ErrTorn
	}
	return nil
}

func parseSlot(key secret, slot []byte) (sequence uint64, data []byte, ok bool) {
	if len(slot) < slotHeader+slotMAC {
		return 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(slot[8:]))
	if n > hal.MemoryBytes || slotHeader+n+slotMAC > len(slot) {
		return 0, nil, false
	}
	body := slot[:slotHeader+n]
	if !hmac.Equal(slotSum(key, body), slot[len(body):len(body)+slotMAC]) {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(slot), append([]byte{}, body[slotHeader:]...), true
}

func slotSum(key secret, body []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(body)
	return mac.Sum(nil)
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// write puts data into the older slot and waits for the disk: one fdatasync.
// After a failure nobody knows what the disk holds, so nothing more is said
// until the file is opened again. The folder's lock keeps every other holder
// out; one who came in all the same, past the lock, is found here, unless he
// writes between the look and the write.
func (m *memory) write(data []byte) error {
	if len(data) > hal.MemoryBytes {
		return ErrTooLarge
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken
	}
	sequence := m.sequence + 1
	slot := binary.BigEndian.AppendUint64(nil, sequence)
	slot = binary.BigEndian.AppendUint16(slot, uint16(len(data)))
	slot = append(slot, data...)
	slot = append(slot, slotSum(m.key, slot)...)
	place := int64(sequence % slotsCount)
	var found [slotBytes]byte
	_, err := m.file.ReadAt(found[:], place*slotBytes)
	// Whoever else wrote began with this slot too.
	if m.taken = m.taken || err == nil && found != m.slots[place]; m.taken {
		return hal.ErrTaken
	}
	if err == nil {
		_, err = m.file.WriteAt(slot, place*slotBytes)
		if full := diskError(err); errors.Is(full, hal.ErrFull) {
			// Part of the older slot may be gone; the newer one stands, and is
			// what the disk has, for nothing else waits to be written.
			if _, err = m.file.ReadAt(m.slots[place][:], place*slotBytes); err == nil {
				return fmt.Errorf("durable memory: %w", full)
			}
		}
	}
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		m.broken = fmt.Errorf("%w: durable memory: %w", hal.ErrGone, err)
		return m.broken
	}
	copy(m.slots[place][:], slot)
	m.sequence, m.data = sequence, append([]byte{}, data...)
	return nil
}

func (m *memory) read() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil || m.data == nil {
		return nil, m.broken
	}
	return append([]byte{}, m.data...), nil
}

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = hal.ErrGone
	return m.file.Close()
}

// ReadMemory gives what was last written.
func (h *HSM) ReadMemory() ([]byte, error) { return h.memory.read() }

// WriteMemory is durable when it returns.
func (h *HSM) WriteMemory(p []byte) error { return h.memory.write(p) }
