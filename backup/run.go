package backup

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
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
	old    *state
	new    *state
	w      *pack.Writer
	claim  *claim
	sure   bool // that no head of this run may appear later
	meter  *meter
	items  []*item
	past   map[string]*pack.Database // databases of earlier snapshots; nil until asked for
	leave  scan.Patterns
	hole   pack.ID // of chunk.Zeros

	mu     sync.Mutex
	report BackupReport // guarded by mu while workers run
}

// item is one thing to back up.
type item struct {
	scan.Node
	root     uint32
	database bool
	refused  bool        // a database that SQLite could not read: a plain file
	done     bool        // it is in the backup
	seen     *seen       // of a file, when done
	same     uint64      // of a file with several names: pack.Entry.Same
	entry    *pack.Entry // of a database, when done
	names    []*item     // of the first item: the others
}

// Backup takes a snapshot of paths. Files that could not be read are in the
// report's warnings and not in the snapshot. An error means that there is no
// new snapshot and that nothing was lost; what was sent is used next time.
func (r *Repository) Backup(ctx context.Context, paths []string, opt BackupOptions) (BackupReport, error) {
	b := &run{r: r, opt: opt, start: time.Now(), sure: true, meter: &meter{tell: opt.Progress}}
	defer func() {
		if b.claim != nil {
			b.claim.release(ctx, b.sure)
		}
	}()
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
	if b.old, err = b.r.openState(b.opt.StateDir); err != nil {
		return err
	}
	b.new = &state{folder: b.old.folder, key: b.old.key, seen: map[string]*seen{}}
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

// scan walks the roots.
func (b *run) scan(ctx context.Context) error {
	for i, root := range b.roots {
		w := &scan.Walker{
			Exclude: b.leave, Caches: b.opt.Leave.Caches, BytesMax: b.opt.Leave.BytesMax, OneFileSystem: b.opt.Leave.OtherSystems,
			Skip: b.skip(), Warn: func(w Warning) { b.warn(w.Path, w.What) },
		}
		w.Found = func(n scan.Node) error { return b.found(uint32(i), n) }
		if err := w.Walk(ctx, root); err != nil {
			return err
		}
		b.report.LeftOut += w.LeftOut
	}
	b.sortItems()
	return nil
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

func (b *run) found(root uint32, n scan.Node) error {
	it := &item{Node: n, root: root}
	if n.Kind == scan.KindFile {
		it.database = b.looksLikeDatabase(n)
		b.meter.update(false, func(p *Progress) {
			p.FilesTotal++
			p.BytesTotal += n.Size
			p.Current = n.Full
		})
	}
	b.items = append(b.items, it)
	return nil
}

// looksLikeDatabase tells whether SQLite may be asked for it. A database is
// whole pages, so only files of such a size are opened to look.
func (b *run) looksLikeDatabase(n scan.Node) bool {
	if f := b.old.seen[n.Full]; f != nil && f.Stat == n.Stat && !f.Racy {
		return f.Database != nil
	}
	if n.Size == 0 || n.Size%sectorBytes != 0 {
		return false
	}
	f, database, err := scan.Open(n.Full)
	if err != nil {
		return false // whoever reads it will say why
	}
	defer f.Close()
	return database
}

// sectorBytes divides the size of every SQLite database.
const sectorBytes = 512

// sortItems puts items into the order of lists: by root, then path, bytewise.
func (b *run) sortItems() {
	slices.SortFunc(b.items, func(x, y *item) int {
		return cmp.Or(cmp.Compare(x.root, y.root), strings.Compare(x.Rel, y.Rel))
	})
}
