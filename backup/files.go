package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"sync"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// readersMax is how many files are read at once. Each reader has one segment
// in memory; packs are fewer, and a reader waits for them.
const readersMax = 8

func readers() int { return min(readersMax, 2*runtime.GOMAXPROCS(0)) }

// files backs up everything but databases, and writes the list and the state.
func (b *run) files(ctx context.Context) error {
	b.meter.phase(PhaseFiles)
	b.list, b.keep = b.w.NewList(), &remembering{b: b}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, order := make(chan *item), make(chan *item, itemsAhead)
	var wg sync.WaitGroup
	for range readers() {
		wg.Go(func() {
			buf := make([]byte, chunk.FileBytes)
			for it := range work {
				if err := b.do(ctx, it, buf); err != nil {
					cancel(err)
				}
				close(it.ready)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(work)
		if err := b.feed(ctx, work, order); err != nil {
			cancel(err)
		}
	})
	for it := range order {
		select {
		case <-it.ready:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			continue // they end by themselves
		}
		if err := b.enter(it); err != nil {
			cancel(err)
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// itemsAhead is how many files the readers may be ahead of the list, which is
// in order: as long as one large file is read, others go on.
const itemsAhead = 4 << 10

// feed hands out what was found: to order all of it, and to work what a
// worker has to do something for. What SQLite keeps beside a database is in its
// snapshot and is left out.
func (b *run) feed(ctx context.Context, work, order chan<- *item) error {
	side := map[string]bool{}
	for _, it := range b.bases {
		if it.database {
			for _, path := range scan.SideFiles(it.Full) {
				side[path] = true
			}
		}
	}
	bases := b.bases
	var some []*item
	for {
		it, err := b.found.next(b.full)
		if errors.Is(err, io.EOF) {
			return b.hand(ctx, some, work, order)
		}
		if err != nil {
			return err
		}
		if it.database {
			it, bases = bases[0], bases[1:]
		}
		if side[it.Full] && it.Kind == scan.KindFile && !it.database {
			continue
		}
		it.ready = make(chan struct{})
		it.also = it.Kind == scan.KindFile && !it.database && !b.link(it)
		if some = append(some, it); len(some) == itemsShuffled {
			if err := b.hand(ctx, some, work, order); err != nil {
				return err
			}
			some = nil
		}
	}
}

// itemsShuffled is how many items are worked on in an order that is drawn.
//
// Attack: the storage knows somebody's files and asks in which order they
// stand, by their names. Where packs are full depends on the sizes of what
// comes after each other, so the number of packs and their padding tell.
const itemsShuffled = 64

// hand hands out some items: to order as they are, which fits into it whole, so
// that nobody waits for a reader here who waits for a later item; then shuffled
// to work.
func (b *run) hand(ctx context.Context, some []*item, work, order chan<- *item) error {
	var toDo []*item
	for _, it := range some {
		if it.database || it.also {
			close(it.ready)
		} else {
			toDo = append(toDo, it)
		}
	}
	if err := give(ctx, order, some); err != nil {
		return err
	}
	var seed [32]byte
	rand.Read(seed[:])
	mathrand.New(mathrand.NewChaCha8(seed)).Shuffle(len(toDo), func(i, j int) { toDo[i], toDo[j] = toDo[j], toDo[i] })
	return give(ctx, work, toDo)
}

// give sends all, unless ctx ends first.
func give[T any](ctx context.Context, to chan<- T, all []T) error {
	for _, x := range all {
		select {
		case to <- x:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// do does what an item needs before it can be entered. Its error ends the
// backup; a file that can not be read is a warning.
func (b *run) do(ctx context.Context, it *item, buf []byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	switch it.Kind {
	case scan.KindDir:
		it.entry = it.newEntry(pack.EntryDir)
		it.entry.Attributes = b.attributes(it.Full)
	case scan.KindLink:
		it.entry = it.newEntry(pack.EntrySymlink)
		it.entry.Link = it.Link
	default:
		return b.file(it, buf)
	}
	it.done = true
	return nil
}

// enter writes an item into the list and the state. Items come in order.
func (b *run) enter(it *item) error {
	if f := it.link; it.also && f.done {
		b.remember(it, f.ids, f.stat, f.size, f.attributes)
	}
	if !it.done {
		return nil
	}
	if f := it.link; f != nil && !it.also {
		f.done, f.ids, f.stat, f.size, f.attributes = true, it.ids, it.seen.Stat, it.entry.Size, it.seen.Attributes
	}
	if it.Kind == scan.KindFile && !it.database {
		refs, err := b.w.AddRefs(it.ids)
		if err != nil {
			return err
		}
		it.entry.Content = &refs
	}
	if err := b.list.Add(it.entry); err != nil {
		return err
	}
	if it.seen != nil {
		b.keep.add(it)
	}
	b.meter.step(it.Full)
	return nil
}

func (it *item) newEntry(kind pack.EntryKind) *pack.Entry {
	return &pack.Entry{Kind: kind, Root: it.root, Path: it.Rel, Mode: it.Mode, ModNanos: it.ModNanos}
}

// file backs up one plain file.
func (b *run) file(it *item, buf []byte) error {
	if ids, ok := b.unchanged(it); ok {
		b.remember(it, ids, it.Stat, it.Size, it.old.Attributes)
		return nil
	}
	attributes := b.attributes(it.Full)
	ids, size, now, err := b.readFile(it, buf)
	if failed := (*readError)(nil); errors.As(err, &failed) {
		b.warn(it.Full, "left out: "+failed.err.Error())
		return nil
	}
	if err == nil {
		b.remember(it, ids, now, size, attributes)
	}
	return err
}

// unchanged gives the segments of a file that looks as it did, if the
// repository still has all of them.
func (b *run) unchanged(it *item) (ids []pack.ID, ok bool) {
	old := it.old
	if old == nil || old.Database != nil || old.Racy || old.Stat != it.Stat {
		return nil, false
	}
	ids = splitIDs(old.IDs)
	for _, id := range ids {
		if !b.r.pack.Has(id) {
			return nil, false
		}
	}
	return ids, true
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

// remember makes the entry of a plain file that is in the backup, and what
// the state keeps of it.
func (b *run) remember(it *item, ids []pack.ID, now scan.Stat, size int64, attributes []pack.Attribute) {
	it.ids = ids
	it.entry = it.newEntry(pack.EntryFile)
	it.entry.Size, it.entry.ModNanos, it.entry.Attributes = size, now.ModNanos, attributes
	if it.link != nil {
		it.entry.Same = it.link.same
	}
	joined := joinIDs(ids)
	b.count(it, &seen{Path: it.Rel, Stat: now, IDs: joined, Attributes: attributes}, it.old != nil && string(it.old.IDs) != string(joined))
	b.meter.add(1, it.Size, it.Full)
}

// count takes a file or database for done.
func (b *run) count(it *item, now *seen, changed bool) {
	now.Racy = now.Stat.Racy(b.start.UnixNano())
	b.mu.Lock()
	defer b.mu.Unlock()
	it.done, it.seen = true, now
	b.report.Files++
	switch {
	case it.old == nil:
		b.report.FilesNew++
	case changed:
		b.report.FilesChanged++
	}
}
