// Package disk is a host's disk in memory, for tests: as honest as the test has
// it, and open to whatever the test does to it.
package disk

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"strongroom/protocol/wire"
)

// entriesMax is what Entries gives at a time: little, so that a box asks often.
const entriesMax = 50

// Disk keeps pages and log. The log is kept whole: a test may put any of it
// back. It is safe for concurrent use by its methods.
type Disk struct {
	mu      sync.Mutex // guards what follows, against the methods
	Pages   map[string][]byte
	Written []wire.Entry
	Kept    wire.Checkpoint
	Reads   int // keys read
}

// New is an empty one.
func New() *Disk { return &Disk{Pages: map[string][]byte{}} }

// Copy is what somebody has who copies the disk.
func (d *Disk) Copy() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Disk{Pages: maps.Clone(d.Pages), Written: slices.Clone(d.Written), Kept: d.Kept}
}

// Entries gives some entries after an index.
func (d *Disk) Entries(after uint64) (entries []wire.Entry, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.Written {
		if e.Index > after && len(entries) < entriesMax {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Append appends to the log.
func (d *Disk) Append(entries []wire.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Written = append(d.Written, entries...)
	return nil
}

// Last is the index of the last entry.
func (d *Disk) Last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.Written) == 0 {
		return 0
	}
	return d.Written[len(d.Written)-1].Index
}

// Read gives a value a key.
func (d *Disk) Read(keys [][]byte) (values [][]byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		d.Reads++
		values = append(values, bytes.Clone(d.Pages[string(k)]))
	}
	return values, nil
}

// Keep keeps a checkpoint.
func (d *Disk) Keep(pages []wire.Page, c wire.Checkpoint) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(pages) == 0 {
		return errors.New("disk: a checkpoint of no pages")
	}
	for _, prefix := range c.Drop {
		maps.DeleteFunc(d.Pages, func(k string, _ []byte) bool { return strings.HasPrefix(k, string(prefix)) })
	}
	for _, p := range pages {
		d.Pages[string(p.Key)] = bytes.Clone(p.Bytes)
	}
	d.Kept = c
	return nil
}

// Serve does what an Out asks of the pages, and puts the answers into an In.
func (d *Disk) Serve(o wire.Out, in *wire.In) {
	for _, r := range o.Reads {
		values, _ := d.Read(r.Keys)
		in.Found = append(in.Found, wire.Found{ID: r.ID, Values: values})
	}
	if o.Checkpoint != nil {
		_ = d.Keep(o.Pages, *o.Checkpoint)
	}
	in.Kept = d.Kept.Serial
}
