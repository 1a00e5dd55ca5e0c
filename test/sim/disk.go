package sim

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom/protocol/wire"
)

// disk is a machine's, with a cache that a crash empties: entries that were
// not synced are lost from some place on, a checkpoint is kept or not.
type disk struct {
	log     []wire.Entry // without gaps
	durable uint64       // index of the last that is on stable storage
	syncing bool

	pages   map[string][]byte
	kept    wire.Checkpoint
	keeping []undo // checkpoints that are not on stable storage yet, in order
}

// undo takes a checkpoint back.
type undo struct {
	pages map[string][]byte // as they were
	kept  wire.Checkpoint
}

func newDisk() *disk { return &disk{pages: map[string][]byte{}} }

// entriesMax is what Entries gives at a time: little, so that a box asks often.
const entriesMax = 50

// Entries is of wire.Disk.
func (d *disk) Entries(after uint64) ([]wire.Entry, error) {
	if len(d.log) == 0 {
		return nil, nil
	}
	first := d.log[0].Index
	if after+1 < first {
		return nil, errors.New("sim: the log begins later")
	}
	from := min(after+1-first, uint64(len(d.log)))
	return slices.Clone(d.log[from:min(from+entriesMax, uint64(len(d.log)))]), nil
}

// Read is of wire.Disk.
func (d *disk) Read(keys [][]byte) (values [][]byte, err error) {
	for _, k := range keys {
		values = append(values, bytes.Clone(d.pages[string(k)]))
	}
	return values, nil
}

// Keep is of wire.Disk: a box that opens waits until it is durable.
func (d *disk) Keep(pages []wire.Page, c wire.Checkpoint) error {
	d.put(pages, c)
	d.kept1()
	return nil
}

// put has a checkpoint in the cache.
func (d *disk) put(pages []wire.Page, c wire.Checkpoint) {
	u := undo{map[string][]byte{}, d.kept}
	changes := func(key string) {
		if _, again := u.pages[key]; !again {
			u.pages[key] = d.pages[key]
		}
	}
	for _, prefix := range c.Drop {
		for key := range d.pages {
			if strings.HasPrefix(key, string(prefix)) {
				changes(key)
				delete(d.pages, key)
			}
		}
	}
	for _, p := range pages {
		changes(string(p.Key))
		d.pages[string(p.Key)] = bytes.Clone(p.Bytes)
	}
	d.kept = c
	d.keeping = append(d.keeping, u)
}

// kept1 has the oldest checkpoint of the cache on stable storage, and drops
// the log that it stands for.
func (d *disk) kept1() {
	d.keeping = d.keeping[1:]
	c := d.stable()
	n := 0
	for n < len(d.log) && d.log[n].Index <= min(c.Index, d.durable) {
		n++
	}
	d.log = slices.Clone(d.log[n:])
}

// stable is the newest checkpoint on stable storage.
func (d *disk) stable() wire.Checkpoint {
	if len(d.keeping) > 0 {
		return d.keeping[0].kept
	}
	return d.kept
}

// append appends to the cache's log. A box that came back from before may
// write an index again: what was there is of a life that nobody remembers.
func (d *disk) append(entries []wire.Entry) {
	for _, e := range entries {
		if n := len(d.log); n > 0 && e.Index <= d.log[n-1].Index {
			first := d.log[0].Index
			d.log = slices.Clone(d.log[:max(e.Index, first)-first])
			d.durable = min(d.durable, e.Index-1)
		}
		d.log = append(d.log, e)
	}
}

func (d *disk) last() uint64 {
	if len(d.log) == 0 {
		return d.durable
	}
	return d.log[len(d.log)-1].Index
}

// crash loses what was in the cache, but for what is written by chance.
func (d *disk) crash(c *clock) {
	lost := 0
	for len(d.log) > 0 && d.log[len(d.log)-1].Index > d.durable {
		d.log = d.log[:len(d.log)-1]
		lost++
	}
	// Part of it had come to the disk: any prefix.
	if lost > 0 {
		whole := d.log[:len(d.log)+lost]
		d.log = slices.Clone(whole[:len(d.log)+c.rand.IntN(lost+1)])
		d.durable = max(d.durable, d.last())
	}
	for len(d.keeping) > 0 {
		u := d.keeping[len(d.keeping)-1]
		d.keeping = d.keeping[:len(d.keeping)-1]
		for k, v := range u.pages {
			if v == nil {
				delete(d.pages, k)
			} else {
				d.pages[k] = v
			}
		}
		d.kept = u.kept
	}
	d.syncing = false
}

// copyOf is what somebody has who copies a disk that is at rest.
func (d *disk) copyOf() *disk {
	return &disk{log: slices.Clone(d.log), durable: d.durable, pages: maps.Clone(d.pages), kept: d.kept}
}

// sync has what is in the log now durable after a while, and so on.
func (b *box) sync() {
	d, life := b.disk, b.life
	if d.syncing || d.last() == d.durable {
		return
	}
	d.syncing = true
	upTo := d.last()
	b.after(b.diskDelay(), func() {
		if b.life != life {
			return
		}
		d.syncing = false
		d.durable = max(d.durable, min(upTo, d.last()))
		b.sync()
		b.wake()
	})
}

// keep takes a checkpoint to the disk.
func (b *box) keep(pages []wire.Page, c wire.Checkpoint) {
	d, life := b.disk, b.life
	d.put(pages, c)
	b.after(b.diskDelay(), func() {
		if b.life == life {
			d.kept1()
			b.wake()
		}
	})
}

func (b *box) diskDelay() time.Duration {
	return b.between(100*time.Microsecond, b.faults.disk)
}
