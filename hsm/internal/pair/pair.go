// Package pair is the durable memory of a provider whose store forgets nothing
// by itself: two slots, written in turn, so that a torn write leaves the other
// whole, and a write that looks first whether it still is the only holder.
package pair

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/vault/hal"
)

// Places is how many slots there are. A slot lies at its sequence modulo this.
const Places = 2

var errTorn = fmt.Errorf("%w: neither of its slots is whole", hal.ErrTorn)

// Slot is one write. Data is nil where nothing was ever written.
type Slot struct {
	Sequence uint64
	Data     []byte
}

// Store is where the slots lie. It is made for one call.
type Store interface {
	// Read gives what lies at a place, nil if nothing does.
	Read(place int) ([]byte, error)
	// Write replaces what the last Read of this place gave, and looks whether
	// it is there: hal.ErrTaken if another holder wrote meanwhile.
	Write(place int, raw []byte) error
	// Encode gives the bytes of a slot.
	Encode(Slot) ([]byte, error)
	// Parse undoes it; not whole: torn, of the other place, or not ours.
	Parse(place int, raw []byte) (s Slot, whole bool, err error)
}

// Memory is what its holder knows of the two slots: as they were last read or
// written. Its zero value knows nothing; Load comes first. One call at a time.
type Memory struct {
	raw     [Places][]byte
	newest  Slot
	pending *pending
	taken   bool // a write found what another holder had written
	torn    bool // the last Load found no whole slot: a write would hide that
}

// pending is a write that began, and nobody knows how it ended.
type pending struct {
	slot Slot
	raw  []byte
}

// Load reads both slots and gives the data of the newest whole one.
func (m *Memory) Load(s Store) ([]byte, error) {
	next, found := Memory{taken: m.taken}, false
	for place := range Places {
		raw, err := s.Read(place)
		if err != nil {
			return nil, err
		}
		next.raw[place] = raw
		slot, whole, err := s.Parse(place, raw)
		if err != nil {
			return nil, err
		}
		if whole && (!found || slot.Sequence > next.newest.Sequence) {
			next.newest, found = slot, true
		}
	}
	if !found {
		m.torn = true
		return nil, errTorn
	}
	*m = next
	return bytes.Clone(m.newest.Data), nil
}

// Write is one hal.WriteMemory, which may take several runs: after a lost
// connection it runs again.
type Write struct {
	Data []byte
	mine uint64 // the sequence that an earlier run gave it; 0 before the first
}

// Run looks at the slot that is to be replaced, which is also the one that
// another holder writes first, and replaces it.
func (w *Write) Run(m *Memory, s Store) error {
	switch {
	case m.taken:
		return hal.ErrTaken
	case m.torn:
		return errTorn
	}
	err := m.settle(s)
	if err == nil && (w.mine == 0 || w.mine != m.newest.Sequence) {
		err = w.replace(m, s)
	}
	m.taken = m.taken || errors.Is(err, hal.ErrTaken)
	return err
}

func (w *Write) replace(m *Memory, s Store) error {
	w.mine = m.newest.Sequence + 1
	place := int(w.mine % Places)
	found, err := s.Read(place)
	if err != nil {
		return err
	}
	if !bytes.Equal(found, m.raw[place]) {
		return hal.ErrTaken
	}
	slot := Slot{w.mine, append([]byte{}, w.Data...)}
	raw, err := s.Encode(slot)
	if err != nil {
		return err
	}
	m.pending = &pending{slot, raw}
	if err := s.Write(place, raw); err != nil {
		return err
	}
	m.raw[place], m.newest, m.pending = raw, slot, nil
	return nil
}

// settle looks how a write ended whose answer was lost: it is there, or what
// it replaces is, or a part of it.
func (m *Memory) settle(s Store) error {
	if m.pending == nil {
		return nil
	}
	place := int(m.pending.slot.Sequence % Places)
	found, err := s.Read(place)
	if err != nil {
		return err
	}
	_, whole, err := s.Parse(place, found)
	switch {
	case err != nil:
		return err
	case bytes.Equal(found, m.pending.raw):
		m.newest = m.pending.slot
	case whole && !bytes.Equal(found, m.raw[place]):
		return hal.ErrTaken
	}
	m.raw[place], m.pending = found, nil
	return nil
}
