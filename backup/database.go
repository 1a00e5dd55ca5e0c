package backup

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// busyMax is how long a backup waits for a writer that holds a database.
const busyMax = 15 * time.Second

// databases takes a snapshot of each database, one after the other. One that
// SQLite can not read is backed up as a plain file, with a warning.
func (b *run) databases(ctx context.Context) error {
	b.meter.phase(PhaseDatabases)
	for _, it := range b.bases {
		err := b.database(ctx, it)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, scan.ErrDatabase), errors.Is(err, scan.ErrReadOnly):
			b.warn(it.Full, "no snapshot ("+err.Error()+"): taken as a plain file, which is whole only if nobody was writing")
			it.database, it.refused = false, true
			b.links.count(it)
		default:
			return err
		}
		b.meter.add(0, 0, it.Full)
	}
	return nil
}

func (b *run) database(ctx context.Context, it *item) error {
	info, err := os.Lstat(it.Full)
	if err != nil {
		return errors.Join(scan.ErrDatabase, err) // gone since: the plain way says so
	}
	it.Stat = scan.StatOf(info)
	now := &seen{Path: it.Rel, Stat: it.Stat, Database: &seenDatabase{Log: logStat(it.Full)}}
	image, same := b.unchangedDatabase(ctx, it, now)
	changed := 0
	if !same {
		if image, changed, err = b.snapshot(ctx, it, image); err != nil {
			return err
		}
	}
	if err := b.databaseEntry(it, image); err != nil {
		return err
	}
	if same {
		now.Database.Image = it.old.Database.Image
	} else if now.Database.Image, err = b.state.saveImage(it.Full, image); err != nil {
		// A cache that does not fit on this disk is no reason not to back up.
		b.warn(it.Full, "is in the backup, but the local state of it was not kept, the next backup reads it whole: "+err.Error())
	}
	b.count(it, now, changed > 0)
	if now.Database.Log.Racy(b.start.UnixNano()) {
		now.Racy = true
	}
	b.mu.Lock()
	b.report.Databases++
	b.report.Pages += int64(image.Pages)
	b.report.PagesChanged += int64(changed)
	b.mu.Unlock()
	b.meter.add(1, it.Size, it.Full)
	return nil
}

// logStat is the state of a database's write-ahead log. An empty one is none:
// every reader may leave one.
func logStat(path string) scan.Stat {
	info, err := os.Lstat(path + "-wal")
	if err != nil || info.Size() == 0 {
		return scan.Stat{}
	}
	return scan.StatOf(info)
}

// unchangedDatabase gives what is known of a database, and whether neither it
// nor its log has changed since. Commits go to one of the two.
func (b *run) unchangedDatabase(ctx context.Context, it *item, now *seen) (image *chunk.Image, same bool) {
	old := it.old
	image = b.state.image(it.Full, old)
	if image == nil {
		image = b.pastImage(ctx, it)
		old = nil
	}
	if image == nil {
		return nil, false
	}
	whole := true
	image.Forget(func(id pack.ID) bool {
		has := b.r.pack.Has(id)
		whole = whole && has
		return has
	})
	return image, whole && old != nil && !old.Racy && old.Stat == now.Stat && old.Database.Log == now.Database.Log
}

// snapshot scans a live database in one read transaction. What changed goes
// through a spool, so that the transaction never waits for the network. The
// image is changed to what the repository will hold.
func (b *run) snapshot(ctx context.Context, it *item, image *chunk.Image) (*chunk.Image, int, error) {
	snap, err := scan.OpenDatabase(ctx, it.Full, busyMax)
	if err != nil {
		return nil, 0, err
	}
	if image == nil || image.PageBytes != snap.PageBytes {
		image = chunk.NewImage(snap.PageBytes, snap.Pages)
	}
	image.Resize(snap.Pages)
	spool := chunk.NewSpool(b.state.folder)
	defer spool.Close()
	sent := make(chan error, 1)
	go func() { sent <- b.drain(spool) }()
	s := &scanner{b: b, image: image, spool: spool, old: b.r.openLastPages(b.state, it.Full, snap.PageBytes)}
	defer s.old.close()
	s.last = b.r.newLastPages(b.state, it.Full, snap.PageBytes, s.old)
	err = s.all(ctx, snap)
	if closed := snap.Close(); err == nil {
		err = closed
	}
	s.last.end()
	b.lasts = append(b.lasts, s.last)
	spool.End()
	if failed := <-sent; failed != nil {
		err = failed
	}
	image.Trim()
	return image, s.changed, err
}

// drain stores what comes through the spool.
func (b *run) drain(spool *chunk.Spool) (err error) {
	defer func() { spool.Break(err) }()
	for {
		block, err := spool.Take()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = b.w.Add(pack.KindPages, block.ID, block.Data)
		}
		if err != nil {
			spool.Break(err)
			return err
		}
	}
}

// databaseEntry makes a database's entry from its image and stores the
// segments that describe it.
func (b *run) databaseEntry(it *item, image *chunk.Image) error {
	d := &pack.Database{PageBytes: image.PageBytes, Pages: image.Pages, Layers: []pack.Layer{}}
	for _, l := range image.Layers() {
		out := pack.Layer{Coding: l.Coding, Pages: l.Pages}
		var hashes []pack.ID
		for _, h := range l.Hashes {
			ids, err := b.w.AddBytes(pack.KindPageHash, h)
			if err != nil {
				return err
			}
			hashes = append(hashes, ids...)
		}
		runs, err := b.w.AddBytes(pack.KindRuns, encodeRuns(l))
		if err != nil {
			return err
		}
		for _, refs := range []struct {
			to  *pack.Refs
			ids []pack.ID
		}{{&out.Runs, runs}, {&out.Groups, l.Groups}, {&out.Hashes, hashes}} {
			if *refs.to, err = b.w.AddRefs(refs.ids); err != nil {
				return err
			}
		}
		d.Layers = append(d.Layers, out)
	}
	it.entry = it.newEntry(pack.EntryDatabase)
	it.entry.Size, it.entry.Database, it.entry.Attributes = int64(d.PageBytes)*int64(d.Pages), d, b.attributes(it.Full)
	return nil
}

func encodeRuns(l chunk.Layer) []byte {
	if l.Coding == pack.CodingDifference {
		return pack.AppendGroupRuns(nil, l.Runs)
	}
	return pack.AppendRuns(nil, l.Runs[0])
}
