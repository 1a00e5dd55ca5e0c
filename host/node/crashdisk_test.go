package node

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

// crashDisk is a disk in memory that tells what a program sees (cache) from
// what a power cut leaves (stable). It is the oracle of the crash tests.
type crashDisk struct {
	cache, stable map[string][]byte
	dirty         map[string]map[int]bool // bytes of a file that no fsync has reached
	names         map[string]bool         // names that a power cut leaves
	syncs         int
	failSync      int // this call of Sync fails, as Linux does: the pages count as clean afterwards
	failWrite     int // this call of WriteAt writes half and answers ENOSPC
	writes        int
}

func newCrashDisk() *crashDisk {
	return &crashDisk{
		cache: map[string][]byte{}, stable: map[string][]byte{},
		dirty: map[string]map[int]bool{}, names: map[string]bool{},
	}
}

// crash is the disk after a power cut: each dirty byte range may or may not
// have reached the disk, in pieces of 8 bytes.
func (d *crashDisk) crash(r *rand.Rand) *crashDisk {
	after := newCrashDisk()
	for name, seen := range d.cache {
		if !d.names[name] && r.IntN(2) == 0 {
			continue
		}
		left := slices.Clone(d.stable[name])
		if len(d.dirty[name]) > 0 && len(seen) > len(left) && r.IntN(3) > 0 {
			grown := len(left) + r.IntN(len(seen)-len(left)+1)
			left = append(left, make([]byte, grown-len(left))...)
		}
		for piece := 0; piece*8 < len(left); piece++ {
			if r.IntN(2) == 0 {
				continue
			}
			for at := piece * 8; at < min(piece*8+8, len(left), len(seen)); at++ {
				if d.dirty[name][at] {
					left[at] = seen[at]
				}
			}
		}
		after.cache[name], after.stable[name], after.names[name] = slices.Clone(left), left, true
	}
	return after
}

func (d *crashDisk) list() (names []string, err error) {
	for name := range d.cache {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (d *crashDisk) open(name string) (file, error) {
	if _, found := d.cache[name]; !found {
		return nil, os.ErrNotExist
	}
	return &crashFile{d, name}, nil
}

func (d *crashDisk) create(name string) (file, error) {
	if _, found := d.cache[name]; found {
		return nil, os.ErrExist
	}
	d.cache[name] = nil
	return &crashFile{d, name}, nil
}

// remove is durable at once: a segment that came back would be dropped again.
func (d *crashDisk) remove(name string) error {
	delete(d.cache, name)
	delete(d.stable, name)
	delete(d.names, name)
	return nil
}

// put keeps nothing: what was cut off a segment is for a person.
func (d *crashDisk) put(string, []byte) error { return nil }

func (d *crashDisk) syncFolder() error {
	for name := range d.cache {
		d.names[name] = true
	}
	return nil
}

type crashFile struct {
	d    *crashDisk
	name string
}

var errSync = errors.New("injected: the disk did not take it")

func (f *crashFile) Size() (int64, error) { return int64(len(f.d.cache[f.name])), nil }
func (f *crashFile) Close() error         { return nil }

func (f *crashFile) ReadAt(p []byte, at int64) (int, error) {
	n := copy(p, f.d.cache[f.name][at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.writes++
	full := f.d.writes == f.d.failWrite
	if full {
		p = p[:len(p)/2]
	}
	b := f.d.cache[f.name]
	if grow := int(at) + len(p) - len(b); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	if f.d.dirty[f.name] == nil {
		f.d.dirty[f.name] = map[int]bool{}
	}
	for i := range p {
		b[int(at)+i] = p[i]
		f.d.dirty[f.name][int(at)+i] = true
	}
	f.d.cache[f.name] = b
	if full {
		return len(p), syscall.ENOSPC
	}
	return len(p), nil
}

func (f *crashFile) Truncate(bytes int64) error {
	f.d.cache[f.name] = f.d.cache[f.name][:bytes]
	for at := range f.d.dirty[f.name] {
		if int64(at) >= bytes {
			delete(f.d.dirty[f.name], at)
		}
	}
	return nil
}

func (f *crashFile) Sync() error {
	f.d.syncs++
	dirty := f.d.dirty[f.name]
	delete(f.d.dirty, f.name)
	if f.d.syncs == f.d.failSync {
		return errSync // and the dirty pages are forgotten: the next Sync would succeed
	}
	seen, stable := f.d.cache[f.name], f.d.stable[f.name]
	stable = slices.Clone(stable[:min(len(stable), len(seen))])
	stable = append(stable, make([]byte, len(seen)-len(stable))...)
	for at := range dirty {
		stable[at] = seen[at]
	}
	f.d.stable[f.name] = stable
	return nil
}
