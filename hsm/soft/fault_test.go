package soft

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/hsm/hsmtest"
	"strongroom/hsm/internal/folder"
	"strongroom/vault/hal"
)

func TestFaults(t *testing.T) { hsmtest.RunFaults(t, maker{}) }

// badDisk lets a judge in before each look at a file and each change of it.
type badDisk struct {
	disk
	judge func() hsmtest.Fault
}

var errDisk = unix.EIO

// step does one step; part is what a cut leaves of it.
func step(judge func() hsmtest.Fault, room bool, do, part func() error) error {
	f := judge()
	time.Sleep(f.Wait)
	switch {
	case f.Kind == hsmtest.Cut:
		return errors.Join(errDisk, part())
	case f.Kind == hsmtest.Lost:
		return errors.Join(errDisk, do())
	case f.Kind == hsmtest.Full && room:
		return errors.Join(unix.ENOSPC, part())
	}
	return do()
}

func nothing() error { return nil }

func (d *badDisk) ReadAt(p []byte, at int64) (int, error) {
	return len(p), step(d.judge, false, func() error { _, err := d.disk.ReadAt(p, at); return err }, nothing)
}

// WriteAt tears what is cut.
func (d *badDisk) WriteAt(p []byte, at int64) (int, error) {
	write := func(p []byte) func() error {
		return func() error { _, err := d.disk.WriteAt(p, at); return err }
	}
	return len(p), step(d.judge, true, write(p), write(p[:min(len(p)/2, 40)]))
}

func (d *badDisk) Sync() error { return step(d.judge, false, d.disk.Sync, nothing) }

func (maker) Judge(_ *testing.T, h hal.HAL, judge func() hsmtest.Fault) {
	s := h.(*HSM)
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.epochs.mu.Lock()
	defer s.epochs.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, file := range []*disk{&s.memory.file, &s.epochs.file} {
		if bad, ok := (*file).(*badDisk); ok {
			*file = bad.disk
		}
		if judge != nil {
			*file = &badDisk{*file, judge}
		}
	}
	s.write = folder.Replace
	if judge != nil {
		s.write = func(path string, data []byte) error {
			return step(judge, true, func() error { return folder.Replace(path, data) }, nothing)
		}
	}
}

// Break: files are not taken away from who has them open.
func (maker) Break(*testing.T, hal.HAL) {}

// Mend opens the files again: after a write that failed nobody knows what the
// disk holds, and soft says nothing more.
func (m maker) Mend(t *testing.T, h hal.HAL) hal.HAL { return m.Reopen(t, h) }
