package backup

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// RestoreOptions say how a restore runs.
type RestoreOptions struct {
	// StateDir, if named, learns what was restored, so that the next backup
	// from there sends nothing again.
	StateDir string
	Progress func(Progress)
	// Overwrite replaces files of other content. A folder is never replaced
	// by a file.
	Overwrite bool
	// Include chooses what is restored, by scan.Patterns against the paths
	// below the target or the full paths of the device; empty is all.
	Include []string
	// DryRun looks and writes nothing, not even the target. Plan is told of
	// every path what would be done with it.
	DryRun bool
	Plan   func(path, action string, bytes int64)
	// Verify reads every file that was written from the disk again and holds it
	// against the backup: ErrVerify names those that differ.
	Verify bool

	naming   *naming // for tests: a target of another system
	goalsMax int     // for tests: smaller batches; 0: batchGoalsMax
	tellAll  bool    // for tests: meter
}

// restore is one restore.
type restore struct {
	r        *Repository
	opt      RestoreOptions
	target   string
	root     *os.Root // of target: no link leads a write out of it
	manifest *pack.Manifest
	names    []string // of the manifest's roots, under the target
	goals    []*goal  // of this batch
	goalsMax int
	planned  bool               // all goals were looked at
	single   bool               // they are one batch
	number   int                // of the first goal of this batch
	facts    []fact             // of all goals that came by
	origins  map[uint64]*origin // of files with several names
	folders  []*goal            // all of them: their modes and times come last
	symlinks []*goal            // those to be made, after all files
	lost     []string           // names that can not be restored
	uses     map[pack.ID][]use  // of this batch
	levels   [][]pack.ID        // what of this batch is to be read, see chunk.Group.Level
	level    int                // that is being read
	found    []*pack.Damage     // by the index: which segments are gone and why
	listLost bool               // so that not even the names of some files are known
	meter    *meter
	made     map[string]*os.Root // folders; the first ones are held open

	verifying bool // what is read was just written: from the disk, not from memory

	settle settler
	there  present
	all    bool // nothing is left out
	placer *placer
	keep   *recollection // nil: no local state
	hole   pack.ID       // of chunk.Zeros: not written
	report RestoreReport

	mu      sync.Mutex
	refused map[string]bool // guarded by mu: extended attributes that the target does not take
	wrong   []error         // guarded by mu: notTheOne, of this batch
}

// goal is one thing to restore.
type goal struct {
	entry *pack.Entry
	name  string       // below the target
	ids   []pack.ID    // of a file
	image *chunk.Image // of a database
	lost  bool         // can not be restored whole
	kept  bool         // is there already

	source  string  // its name before it got a place, where that is needed
	around  bool    // a folder that only leads to what is restored
	inWay   bool    // something else is there
	blocked bool    // and may not be replaced
	hasPart bool    // an interrupted restore left something of it
	first   *origin // the file that this is another name of (a hard link); nil if none
	origin  *origin // the file that others are names of

	parts int         // segments that it has
	left  int         // segments not yet written; restore.mu while they come in
	part  fs.FileInfo // the unfinished file that an interrupted restore left; nil if none
	done  []bool      // which segments that has

	due    []int    // of a database's levels: groups not yet written; restore.mu while they come in
	bases  *os.File // of a database with differences: what they lean on
	broken bool     // a level was not all there
	goesOn bool     // with the bases that an interrupted restore left

	unfinished bool // and left for the next restore

	opening sync.Mutex  // its temporary file
	begun   atomic.Bool // has a temporary file
}

// use is one place that a segment is written to.
type use struct {
	goal   *goal
	offset int64        // in a file
	group  *chunk.Group // of a database
}

// level is when a use's segment is read.
func (u use) level() int {
	if u.group == nil {
		return 0
	}
	return u.group.Level
}

// Restore writes a snapshot ("latest", an id or the beginning of one) below
// target: each root under its last name. A file appears whole or not at all,
// and one with other content that is in the way stops the restore before
// anything is written (ErrDiffers), unless Overwrite. What is damaged is named in the report and in the
// error (ErrDamaged); everything else is restored.
func (r *Repository) Restore(ctx context.Context, snapshot, target string, opt RestoreOptions) (RestoreReport, error) {
	start := time.Now()
	j := &restore{r: r, opt: opt, goalsMax: cmp.Or(opt.goalsMax, batchGoalsMax), made: map[string]*os.Root{}, refused: map[string]bool{}, meter: r.newMeter(opt.Progress, opt.tellAll)}
	j.meter.phase(PhaseScan)
	if err := j.open(ctx, snapshot, target); err != nil {
		return RestoreReport{}, err
	}
	defer j.close()
	steps := []func(context.Context) error{j.plan, j.write, j.finish, j.verify}
	if opt.DryRun {
		steps = steps[:1]
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			j.clean(err)
			return RestoreReport{}, err
		}
	}
	j.report.Elapsed = time.Since(start)
	return j.report, j.damageError()
}

func (j *restore) open(ctx context.Context, snapshot, target string) (err error) {
	heads, found, err := j.r.pack.LoadIndex(ctx)
	if err != nil {
		return err
	}
	j.found = found
	if j.manifest, err = j.r.find(ctx, snapshot, heads, found); err != nil {
		return err
	}
	j.report.Snapshot = info(j.manifest)
	j.names = rootNames(j.manifest.Roots)
	c, err := newChoice(j.opt.Include, j.manifest.Roots, j.names)
	if err != nil {
		return err
	}
	j.all = c.all
	j.hole = j.r.pack.SegmentID(pack.KindFile, chunk.Zeros)
	if err := j.openTarget(target); err != nil {
		return local(ErrTarget, err)
	}
	n := namingOf(j.root, j.target, !j.opt.DryRun)
	if j.opt.naming != nil {
		n = *j.opt.naming
	}
	j.placer, j.there = newPlacer(n), present{root: j.root, folds: n.folds, parts: map[string]bool{}}
	return nil
}

func (j *restore) openTarget(target string) (err error) {
	if _, err := os.Stat(target); os.IsNotExist(err) && j.opt.DryRun {
		j.target, err = filepath.Abs(target)
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if j.target, err = realPath(target); err != nil {
		return err
	}
	j.root, err = os.OpenRoot(j.target)
	return err
}

// local marks an error of this machine's own files, so that nobody looks for
// the fault in the storage.
func local(mark, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	if err == nil || errors.Is(err, mark) || !errors.As(err, &path) && !errors.As(err, &link) {
		return err
	}
	return fmt.Errorf("%w: %w", mark, err)
}

// place is where an entry goes, below the target. Attack: a list that names
// "../../.ssh/authorized_keys". Only who holds K can write one; still no path
// leaves the target, and os.Root follows no link out of it either.
func (j *restore) place(e *pack.Entry, warn bool) (name, place string, err error) {
	if int(e.Root) >= len(j.names) {
		return "", "", fmt.Errorf("%w: root %d", ErrUnsafe, e.Root)
	}
	name = j.names[e.Root]
	if e.Path != "" {
		name += "/" + e.Path
	}
	if path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../") || path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return "", "", fmt.Errorf("%w: %q", ErrUnsafe, name)
	}
	if place = j.placer.place(name); !filepath.IsLocal(filepath.FromSlash(place)) {
		return "", "", fmt.Errorf("%w: %q", ErrUnsafe, place)
	}
	if warn && path.Base(place) != path.Base(name) {
		j.report.Warnings = append(j.report.Warnings, Warning{Path: name, What: "the target can not keep this name beside the others: it is restored as " + strconv.Quote(place)})
	}
	return name, place, nil
}

// content finds the segments of a file or the image of a database.
func (j *restore) content(ctx context.Context, g *goal) (err error) {
	switch g.entry.Kind {
	case pack.EntryFile:
		g.ids, err = j.r.pack.IDs(ctx, *g.entry.Content)
	case pack.EntryDatabase:
		g.image, err = j.r.image(ctx, g.entry.Database)
		if errors.Is(err, chunk.ErrImage) {
			err = errors.Join(err, j.missingGroups(ctx, g.entry.Database))
		} else if err == nil && !g.image.Whole() {
			err = chunk.ErrImage
		}
	}
	if err == nil {
		return nil
	}
	j.giveUp(g)
	return j.damaged(err, "what says where the file's parts are", g.name)
}

// missingGroups gives the damage that a database's groups are lost by.
func (j *restore) missingGroups(ctx context.Context, d *pack.Database) error {
	var faults []error
	for _, l := range d.Layers {
		ids, _ := j.r.pack.IDs(ctx, l.Groups) // that they can not be read was said
		for _, f := range j.found {
			if slices.ContainsFunc(ids, func(id pack.ID) bool { return slices.Contains(f.Lost, id) }) {
				faults = append(faults, &pack.Damage{Object: f.Object, What: f.What})
			}
		}
	}
	return errors.Join(faults...)
}

// damaged notes why files are lost. An error that is not damage (the storage
// can not be reached) is given back.
func (j *restore) damaged(err error, what string, files ...string) error {
	found := damagesIn(err)
	for _, d := range found {
		j.report.Damaged = append(j.report.Damaged, Damage{Object: d.Object, What: what + ": " + d.What, Files: files})
	}
	lasting := errors.Is(err, pack.ErrUnknownSegment) || errors.Is(err, pack.ErrMalformed) ||
		errors.Is(err, pack.ErrUnknownKind) || errors.Is(err, chunk.ErrImage)
	if len(found) == 0 && !lasting {
		return err
	}
	if lasting {
		j.report.Damaged = append(j.report.Damaged, Damage{Object: "snapshot " + j.report.Snapshot.ID, What: what + ": " + err.Error(), Files: files})
	}
	return nil
}

// giveUp takes a goal for lost.
func (j *restore) giveUp(g *goal) {
	g.lost = true
	j.lost = append(j.lost, g.name)
	if g.origin != nil {
		g.origin.lost = true
	}
}

// damageError is nil if everything was restored.
func (j *restore) damageError() error {
	if len(j.lost) == 0 && !j.listLost {
		return nil
	}
	return fmt.Errorf("%w: %d files could not be restored (%s); all others were", ErrDamaged, len(j.lost), some(j.lost))
}

// someMax is how many names an error says.
const someMax = 5

func some(names []string) string {
	if len(names) == 0 {
		return "their names are lost with a list"
	}
	out := strings.Join(names[:min(len(names), someMax)], ", ")
	if len(names) > someMax {
		out += ", ..."
	}
	return out
}

// temp is the temporary name of a goal, the same at every try.
func (j *restore) temp(g *goal) string {
	id := j.r.pack.SegmentID(0, []byte(g.name))
	return path.Join(path.Dir(g.name), scan.PartPrefix+hex.EncodeToString(id[:8])+scan.PartSuffix)
}

// close lets go of the target.
func (j *restore) close() {
	for _, f := range j.made {
		if f != nil {
			f.Close()
		}
	}
	for _, g := range j.goals {
		j.closeBases(g)
	}
	if j.root != nil {
		j.root.Close()
	}
	if j.keep != nil {
		j.keep.drop()
	}
}
