package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// BackupOptions say how a backup runs. StateDir is needed; it, and a folder
// that is the storage, are left out of the backup.
type BackupOptions struct {
	StateDir string
	Host     string   // a label for people; the machine's name if empty
	Skip     []string // folders that are left out, beside StateDir and the storage
	Leave    Leave
	Progress func(Progress)
	Now      func() time.Time

	tellAll bool // for tests: meter
}

// Leave says what is left out of a backup, as scan.Walker does it.
type Leave struct {
	Patterns     []string // as scan.Patterns
	Caches       bool     // what is in folders with a CACHEDIR.TAG
	BytesMax     int64    // larger files; 0 none
	OtherSystems bool     // what is in folders of other file systems than the root's
}

// run is one backup.
type run struct {
	r      *Repository
	opt    BackupOptions
	start  time.Time // by the clock that file times come from
	roots  []string
	device pack.DeviceID
	own    *pack.HeadAt // of this device; nil before its first backup
	heads  []*pack.HeadAt
	taken  []pack.IndexRef // of heads that came first; damaged ones are not carried on
	state  *state
	w      *pack.Writer
	claim  *claim
	sure   bool // that no head of this run may appear later
	meter  *meter
	found  *itemFile // by scan, in the order of lists
	full   []string  // where each root really is
	bases  []*item   // databases among what was found, in the same order
	links  *links
	list   *pack.List
	keep   *remembering
	past   map[string]*pack.Database // databases of earlier snapshots; nil until asked for
	leave  scan.Patterns
	hole   pack.ID // of chunk.Zeros
	lasts  []*lastPagesWriter

	mu     sync.Mutex
	report BackupReport // guarded by mu while workers run
}

// item is one thing to back up.
type item struct {
	scan.Node
	root     uint32
	database bool
	refused  bool          // a database that SQLite could not read: a plain file
	old      *seen         // as it was at the last backup
	done     bool          // it is in the backup
	seen     *seen         // of a file, when done
	entry    *pack.Entry   // when done
	ids      []pack.ID     // of a file, when done
	link     *link         // that this is a name of; nil for a file with one name
	also     bool          // and not the first
	ready    chan struct{} // closed when a worker is done with it
}

// Backup takes a snapshot of paths. Files that could not be read are in the
// report's warnings and not in the snapshot. An error means that there is no
// new snapshot and that nothing was lost; what was sent is used next time.
func (r *Repository) Backup(ctx context.Context, paths []string, opt BackupOptions) (BackupReport, error) {
	b := &run{r: r, opt: opt, start: time.Now(), sure: true, meter: r.newMeter(opt.Progress, opt.tellAll)}
	defer b.close(ctx)
	if err := b.prepare(ctx, paths); err != nil {
		return BackupReport{}, err
	}
	b.w = r.pack.NewWriter(ctx)
	defer b.w.Close()
	b.meter.sent = b.w.BytesSent
	for _, step := range []func(context.Context) error{b.scan, b.databases, b.files, b.finish} {
		if err := step(ctx); err != nil {
			return BackupReport{}, err
		}
	}
	b.report.Elapsed = time.Since(b.start)
	return b.report, nil
}

// close lets go of what a run holds, ended or not.
func (b *run) close(ctx context.Context) {
	if b.claim != nil {
		b.claim.release(ctx, b.sure)
	}
	if b.found != nil {
		b.found.close()
	}
	if b.keep != nil {
		b.keep.drop()
	}
}

// prepare finds out what is known already.
func (b *run) prepare(ctx context.Context, paths []string) (err error) {
	if b.opt.StateDir == "" {
		return errors.New("backup: no state folder was named")
	}
	if b.opt.Now == nil {
		b.opt.Now = time.Now
	}
	if b.opt.Host == "" {
		b.opt.Host, _ = os.Hostname()
	}
	if b.leave, err = scan.ParsePatterns(b.opt.Leave.Patterns); err != nil {
		return err
	}
	b.hole = b.r.pack.SegmentID(pack.KindFile, chunk.Zeros)
	if b.roots, err = cleanRoots(paths); err != nil {
		return err
	}
	if b.device, err = device(b.opt.StateDir); err != nil {
		return err
	}
	if b.state, err = b.r.openState(b.opt.StateDir); err != nil {
		return err
	}
	for _, root := range b.roots {
		full, err := realPath(root)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrPath, root, err)
		}
		b.full = append(b.full, full)
	}
	return b.prepareIndex(ctx)
}

// prepareIndex learns what the repository holds, packs of an interrupted
// backup too. Damage does not stop a backup: what is damaged is not known as
// held, so it is sent again where it is still there.
func (b *run) prepareIndex(ctx context.Context) (err error) {
	b.meter.phase(PhaseScan)
	if b.claim, err = b.r.claimFor(ctx, b.opt.StateDir, b.opt.Host, pack.ClaimBackup, b.opt.Now()); err != nil {
		return err
	}
	if b.heads, _, err = b.r.pack.LoadHeld(ctx); err != nil {
		return err
	}
	for _, h := range b.heads {
		if h.Device == b.device {
			b.own = h
		}
	}
	_, _, err = b.r.pack.AdoptOrphans(ctx)
	return err
}

func (b *run) warn(path, what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report.Warnings = append(b.report.Warnings, Warning{Path: path, What: what})
}

// scan walks the roots, beside what is remembered of them: both come in the
// same order.
func (b *run) scan(ctx context.Context) (err error) {
	b.links = newLinks()
	if b.found, err = newItemFile(b.state.folder); err != nil {
		return err
	}
	for i, root := range b.roots {
		if err := b.scanRoot(ctx, uint32(i), root); err != nil {
			return err
		}
	}
	return b.found.rewind()
}

func (b *run) scanRoot(ctx context.Context, number uint32, root string) error {
	old := b.state.cursor(b.full[number], func() { b.meter.step(root) })
	defer old.close()
	w := &scan.Walker{
		Exclude: b.leave, Caches: b.opt.Leave.Caches, BytesMax: b.opt.Leave.BytesMax, OneFileSystem: b.opt.Leave.OtherSystems,
		Skip: b.skip(), Warn: func(w Warning) { b.warn(w.Path, w.What) },
		Found: func(n scan.Node) error { return b.find(&item{Node: n, root: number}, old) },
	}
	err := w.Walk(ctx, root)
	b.report.LeftOut += w.LeftOut
	return err
}

// skip gives the folders that are never backed up: the local state changes
// with every backup, and a repository that holds itself grows for ever.
func (b *run) skip() (out []string) {
	for _, p := range append([]string{b.opt.StateDir, strings.TrimPrefix(b.r.st.Location(), "file:")}, b.opt.Skip...) {
		if full, err := realPath(p); err == nil {
			out = append(out, full)
		}
	}
	return out
}

// find takes down what the walk found.
func (b *run) find(it *item, old *stateCursor) error {
	if it.Kind != scan.KindFile {
		b.meter.step(it.Full)
		return b.found.add(it)
	}
	it.old = old.find(it.Rel)
	if it.database = looksLikeDatabase(it); it.database {
		b.bases = append(b.bases, it)
	} else {
		b.links.count(it)
	}
	b.meter.update(false, func(p *Progress) {
		p.FilesTotal++
		p.BytesTotal += it.Size
		p.Current = it.Full
	})
	return b.found.add(it)
}

// looksLikeDatabase tells whether SQLite may be asked for a file. A database is
// whole pages, so only files of such a size are opened to look.
func looksLikeDatabase(it *item) bool {
	if f := it.old; f != nil && f.Stat == it.Stat && !f.Racy {
		return f.Database != nil
	}
	if it.Size == 0 || it.Size%sectorBytes != 0 {
		return false
	}
	f, database, err := scan.Open(it.Full)
	if err != nil {
		return false // whoever reads it will say why
	}
	defer f.Close()
	return database
}

// sectorBytes divides the size of every SQLite database.
const sectorBytes = 512
