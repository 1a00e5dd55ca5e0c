package backup

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// readersMax is how many files are read at once. Each reader has one segment
// in memory; packs are fewer, and a reader waits for them.
const readersMax = 8

func readers() int { return min(readersMax, 2*runtime.GOMAXPROCS(0)) }

// files backs up everything but databases.
func (b *run) files(ctx context.Context) error {
	b.meter.phase(PhaseFiles)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *item)
	var wg sync.WaitGroup
	for range readers() {
		wg.Go(func() {
			buf := make([]byte, chunk.FileBytes)
			for it := range work {
				if err := b.file(ctx, it, buf); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, it := range b.plainItems() {
		select {
		case work <- it:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// plainItems makes the entries of folders and links, and gives the files
// that are to be looked at. What SQLite keeps beside a database is in its
// snapshot and is left out.
func (b *run) plainItems() (out []*item) {
	side := map[string]bool{}
	for _, it := range b.items {
		if it.database {
			for _, path := range scan.SideFiles(it.Full) {
				side[path] = true
			}
		}
	}
	for _, it := range b.items {
		switch {
		case it.Kind != scan.KindFile:
			it.done = true
		case !it.database && !side[it.Full]:
			out = append(out, it)
		}
	}
	return b.oneOfEach(out)
}

func (it *item) newEntry(kind pack.EntryKind) *pack.Entry {
	return &pack.Entry{Kind: kind, Root: it.root, Path: it.Rel, Mode: it.Mode, ModNanos: it.ModNanos}
}

// makeEntry makes what the list says of an item. Entries are made one after
// the other and not kept: of a million files they would be the most of what a
// backup holds.
func (b *run) makeEntry(it *item) (e *pack.Entry, err error) {
	switch {
	case it.entry != nil:
		return it.entry, nil
	case it.Kind == scan.KindDir:
		e = it.newEntry(pack.EntryDir)
		e.Attributes = b.attributes(it.Full)
	case it.Kind == scan.KindLink:
		e = it.newEntry(pack.EntrySymlink)
		e.Link = it.Link
	default:
		e = it.newEntry(pack.EntryFile)
		e.Size, e.ModNanos, e.Attributes, e.Same = it.Size, it.seen.Stat.ModNanos, it.seen.Attributes, it.same
		refs, err := b.w.AddRefs(splitIDs(it.seen.IDs))
		if err != nil {
			return nil, err
		}
		e.Content = &refs
	}
	return e, nil
}

// file backs up one plain file. Its error ends the backup; a file that can
// not be read is a warning.
func (b *run) file(ctx context.Context, it *item, buf []byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	old := b.old.seen[it.Full]
	ids, size, now, fresh := b.unchanged(it, old)
	var attributes []pack.Attribute
	if fresh {
		attributes = old.Attributes
	} else {
		attributes = b.attributes(it.Full)
		var failed *readError
		var err error
		ids, size, now, err = b.readFile(it, buf)
		if errors.As(err, &failed) {
			b.warn(it.Full, "left out: "+failed.err.Error())
			return nil
		}
		if err != nil {
			return err
		}
	}
	if fresh && len(it.names) == 0 {
		it.rename(old.Path)
		b.remember(it, old, false)
		b.meter.add(1, it.Size, it.Full)
		return nil
	}
	joined := joinIDs(ids)
	for _, name := range append([]*item{it}, it.names...) {
		if len(it.names) > 0 {
			name.same = b.sameNumber(it)
		}
		old := b.old.seen[name.Full]
		b.remember(name, &seen{Path: name.Full, Stat: now, IDs: joined, Attributes: attributes}, old != nil && string(old.IDs) != string(joined))
		b.meter.add(1, name.Size, name.Full)
		name.Size = size
	}
	return nil
}

// rename gives an item its own path again, in another string that is kept
// anyway.
func (it *item) rename(full string) {
	if strings.HasSuffix(full, it.Rel) {
		it.Full, it.Rel = full, full[len(full)-len(it.Rel):]
	}
}

// unchanged gives what is known of a file that looks as it did, if the
// repository still has all of it.
func (b *run) unchanged(it *item, old *seen) (ids []pack.ID, size int64, now scan.Stat, ok bool) {
	if old == nil || old.Database != nil || old.Racy || old.Stat != it.Stat {
		return nil, 0, now, false
	}
	ids = splitIDs(old.IDs)
	for _, id := range ids {
		if !b.r.pack.Has(id) {
			return nil, 0, now, false
		}
	}
	return ids, it.Size, it.Stat, true
}

// readError is a file that can not be read, as opposed to a storage that
// fails.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// readFile reads and stores a file. One that changes meanwhile is read once
// more; if it changes again, the last reading counts, with a warning.
func (b *run) readFile(it *item, buf []byte) (ids []pack.ID, size int64, now scan.Stat, err error) {
	f, database, err := scan.Open(it.Full)
	if err != nil {
		return nil, 0, now, &readError{err}
	}
	defer f.Close()
	if database && !it.refused {
		b.warn(it.Full, "became a database while the backup ran: taken as a plain file")
	}
	for range 2 {
		before, err := f.Stat()
		if err != nil {
			return nil, 0, now, &readError{err}
		}
		f.Rewind()
		if ids, size, err = b.segments(f, before.Size+growthBytesMax, it.holes(before), buf); err != nil {
			return nil, 0, now, err
		}
		if now, err = f.Stat(); err != nil {
			return nil, 0, now, &readError{err}
		}
		if now == before && now.Size == size {
			return ids, size, now, nil
		}
	}
	b.warn(it.Full, "changed while it was read, twice: what is in the backup may be neither the old nor the new")
	now.ChangeNanos = -1 // as no file has: it is read again next time
	return ids, size, now, nil
}

// growthBytesMax is how much a file may grow while it is read. Attack: a file
// that somebody writes to faster than it is read, or one of a pseudo file
// system that has no end.
const growthBytesMax = 64 << 20

// holes is how many bytes of a file may be holes: all of it, or nothing where
// that was seen not to be so.
func (it *item) holes(now scan.Stat) int64 {
	if it.Sparse {
		return now.Size
	}
	return 0
}

// segments reads f, at most limit bytes of it, of which the first may be
// holes, and stores each segment.
func (b *run) segments(f chunk.Holed, limit, holes int64, buf []byte) (ids []pack.ID, size int64, err error) {
	var store error
	read := int64(0)
	size, err = chunk.SparseFile(limited{io.LimitReader(f, limit), f}, min(limit, holes), buf, func(segment []byte) error {
		id := b.hole
		if &segment[0] != &chunk.Zeros[0] {
			id, read = b.r.pack.SegmentID(pack.KindFile, segment), read+int64(len(segment))
		}
		_, store = b.w.Add(pack.KindFile, id, segment)
		ids = append(ids, id)
		return store
	})
	b.mu.Lock()
	b.report.BytesRead += read
	b.mu.Unlock()
	if err != nil && store == nil {
		err = &readError{err}
	}
	return ids, size, err
}

// limited is a file of which only the bytes that are read count to a limit.
type limited struct {
	io.Reader
	file chunk.Holed
}

func (l limited) SkipHole(n int64) bool { return l.file.SkipHole(n) }

// remember keeps what was seen and counts it.
func (b *run) remember(it *item, now *seen, changed bool) {
	now.Racy = now.Stat.Racy(b.start.UnixNano())
	b.mu.Lock()
	defer b.mu.Unlock()
	it.done, it.seen = true, now
	b.report.Files++
	switch {
	case b.old.seen[it.Full] == nil:
		b.report.FilesNew++
	case changed:
		b.report.FilesChanged++
	}
}
