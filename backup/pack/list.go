package pack

import (
	"context"
	"errors"
	"fmt"
)

// cutEntries is how many entries a list segment holds on average.
const cutEntries = 128

// List makes the list segments of a snapshot from its entries. One
// goroutine at a time.
type List struct {
	w       *Writer
	buf     []byte
	ids     []ID
	last    *Entry
	entries uint64
	bytes   uint64
}

// NewList starts the list of a snapshot whose segments w takes.
func (w *Writer) NewList() *List { return &List{w: w} }

// Add appends an entry; entries come in ascending order of (root, path),
// bytewise. Lists are cut after an entry whose path says so by a keyed hash,
// so that a day's new files change few of them.
func (l *List) Add(e *Entry) error {
	if l.last != nil && (e.Root < l.last.Root || e.Root == l.last.Root && e.Path <= l.last.Path) {
		return fmt.Errorf("%w: entry %q out of order", ErrMalformed, e.Path)
	}
	if fault := checkEntry(e); fault != nil {
		return fault
	}
	start := len(l.buf)
	l.buf = appendEntry(l.buf, e)
	if len(l.buf) > SegmentBytesMax {
		rest := append([]byte(nil), l.buf[start:]...)
		l.buf = l.buf[:start]
		if err := l.flush(); err != nil {
			return err
		}
		if l.buf = append(l.buf, rest...); len(l.buf) > SegmentBytesMax {
			return fmt.Errorf("%w: entry %q is too large", ErrMalformed, e.Path)
		}
	}
	l.last = e
	l.entries++
	l.bytes += uint64(e.Size)
	if l.w.r.keys.Cut(e.Path)%cutEntries == 0 {
		return l.flush()
	}
	return nil
}

func (l *List) flush() error {
	if len(l.buf) == 0 {
		return nil
	}
	ids, err := l.w.AddBytes(KindList, l.buf)
	l.ids = append(l.ids, ids...)
	l.buf = l.buf[:0]
	return err
}

// Finish fills the manifest's Lists, Entries and Bytes.
func (l *List) Finish(m *Manifest) error {
	if err := l.flush(); err != nil {
		return err
	}
	m.Lists, m.Entries, m.Bytes = l.ids, l.entries, l.bytes
	return nil
}

// Entries gives the entries of a snapshot in order. What can not be given
// (a damaged list, an entry of an unknown kind) does not stop it: the error
// joins them at the end. entry's own error stops it.
func (r *Repo) Entries(ctx context.Context, m *Manifest, entry func(*Entry) error) error {
	var faults []error
	for batch := m.Lists; len(batch) > 0; {
		n := min(len(batch), listBatch)
		texts := map[ID][]byte{}
		lock := make(chan struct{}, 1)
		err := r.ReadAll(ctx, batch[:n], func(id ID, plain []byte) error {
			lock <- struct{}{}
			texts[id] = append([]byte(nil), plain...)
			<-lock
			return nil
		})
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnknownSegment) {
			return err
		}
		faults = append(faults, err)
		for _, id := range batch[:n] {
			r.works()
			if err := giveList(texts[id], entry, &faults); err != nil {
				return err
			}
		}
		batch = batch[n:]
	}
	return errors.Join(faults...)
}

// listBatch is how many list segments are in memory at once.
const listBatch = 256

// giveList gives the entries of one list; err is entry's own.
func giveList(text []byte, entry func(*Entry) error, faults *[]error) (err error) {
	fault := ParseList(text, func(e *Entry) error {
		err = entry(e)
		return err
	}, func(u *UnknownEntry) error {
		*faults = append(*faults, u)
		return nil
	})
	if err == nil {
		*faults = append(*faults, fault)
	}
	return err
}
