package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"
	"time"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// errPage: a group of a database holds a page that its hash does not know.
var errPage = errors.New("backup: a page is not the one that was backed up")

// settleBytes is how much is written before it is made durable and renamed.
const settleBytes = 256 << 20

// write makes folders, then writes every segment where it belongs, reading
// each pack once.
func (j *restore) write(ctx context.Context) error {
	j.meter.phase(PhaseFiles)
	var ids []pack.ID
	for _, g := range j.goals {
		if g.lost || g.kept {
			continue
		}
		need, err := j.begin(g)
		if err != nil {
			return local(ErrTarget, err)
		}
		ids = append(ids, need...)
	}
	fault := j.r.pack.ReadAll(ctx, ids, j.segment)
	if fault != nil {
		if err := j.lose(ctx, fault); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return local(ErrTarget, j.settle())
}

// begin makes ready for a goal's segments and gives them in order.
func (j *restore) begin(g *goal) (ids []pack.ID, err error) {
	if g.entry.Kind == pack.EntryDir {
		return nil, j.folder(g.name)
	}
	if err := j.folder(path.Dir(g.name)); err != nil {
		return nil, err
	}
	switch g.entry.Kind {
	case pack.EntryFile:
		for i, id := range g.ids {
			j.uses[id] = append(j.uses[id], use{goal: g, offset: int64(i) * chunk.FileBytes})
		}
		ids = g.ids
	case pack.EntryDatabase:
		err = g.image.Groups(func(group chunk.Group) error {
			j.uses[group.ID] = append(j.uses[group.ID], use{goal: g, group: &group})
			ids = append(ids, group.ID)
			return nil
		})
	default:
		return nil, nil // links come last
	}
	g.left = len(ids)
	j.meter.update(false, func(p *Progress) {
		p.FilesTotal++
		p.BytesTotal += g.entry.Size
	})
	if err == nil && g.left == 0 {
		j.mu.Lock()
		defer j.mu.Unlock()
		err = j.whole(g)
	}
	return ids, err
}

// folder makes a folder and those above it. A file in its place was refused
// by look, or may be replaced.
func (j *restore) folder(name string) error {
	err := j.root.MkdirAll(name, 0o700)
	if err != nil && j.opt.Overwrite && isNotDir(err) {
		if err := j.root.Remove(name); err != nil {
			return err
		}
		err = j.root.MkdirAll(name, 0o700)
	}
	return err
}

func isNotDir(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, os.ErrExist)
}

// segment writes one segment to all its places. Called by several goroutines.
func (j *restore) segment(id pack.ID, plain []byte) error {
	for _, u := range j.uses[id] {
		if err := j.writeUse(u, plain); err != nil {
			return local(ErrTarget, fmt.Errorf("%s: %w", j.full(u.goal), err))
		}
		j.meter.add(0, int64(len(plain)), u.goal.name)
		j.mu.Lock()
		u.goal.left--
		var err error
		if u.goal.left == 0 && !u.goal.lost {
			err = j.whole(u.goal)
		}
		j.mu.Unlock()
		if err != nil {
			return local(ErrTarget, err)
		}
	}
	return nil
}

func (j *restore) writeUse(u use, plain []byte) error {
	f, err := j.openTemp(u.goal)
	if err != nil {
		return err
	}
	if u.group != nil {
		err = j.writePages(f, u, plain)
	} else if u.offset+int64(len(plain)) > u.goal.entry.Size {
		err = fmt.Errorf("%w: its parts are longer than the file", pack.ErrMalformed)
	} else {
		_, err = f.WriteAt(plain, u.offset)
	}
	return errors.Join(err, f.Close())
}

// openTemp opens a goal's temporary file, emptied the first time.
func (j *restore) openTemp(g *goal) (*os.File, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	flags := os.O_WRONLY
	if !g.begun {
		// Remove first: what has this name may be somebody's link.
		if err := j.root.Remove(j.temp(g)); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		flags |= os.O_CREATE | os.O_EXCL
		g.begun = true
	}
	return j.root.OpenFile(j.temp(g), flags, 0o600)
}

// writePages writes the live pages of a group, neighbours in one write, and
// proves each against its hash.
func (j *restore) writePages(f *os.File, u use, plain []byte) error {
	size := int(u.goal.image.PageBytes)
	if len(plain) != size*len(u.group.Pages) {
		return errPage
	}
	for i := 0; i < len(u.group.Pages); {
		if !u.group.Live[i] {
			i++
			continue
		}
		from := i
		for ; i < len(u.group.Pages) && u.group.Live[i] && u.group.Pages[i] == u.group.Pages[from]+uint32(i-from); i++ {
			if j.r.pack.PageHash(plain[i*size:(i+1)*size]) != u.group.Hashes[i] {
				return fmt.Errorf("%w: page %d", errPage, u.group.Pages[i])
			}
		}
		if _, err := f.WriteAt(plain[from*size:i*size], int64(u.group.Pages[from]-1)*int64(size)); err != nil {
			return err
		}
	}
	return nil
}

// whole takes note of a goal whose segments are all written. j.mu is held.
func (j *restore) whole(g *goal) error {
	flags := os.O_WRONLY
	if !g.begun {
		j.root.Remove(j.temp(g))
		flags |= os.O_CREATE | os.O_EXCL
		g.begun = true
	}
	f, err := j.root.OpenFile(j.temp(g), flags, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(g.entry.Size), f.Chmod(j.mode(g)), f.Close())
	when := time.Unix(0, g.entry.ModNanos)
	if err = errors.Join(err, j.root.Chtimes(j.temp(g), when, when)); err != nil {
		return err
	}
	j.ready = append(j.ready, g)
	if j.bytes += g.entry.Size; j.bytes < settleBytes {
		return nil
	}
	return j.settle()
}

// settle makes what is ready durable, then gives it its names: after a power
// cut a name never leads to half a file. j.mu is held.
func (j *restore) settle() error {
	names := make([]string, len(j.ready))
	for i, g := range j.ready {
		names[i] = j.temp(g)
	}
	if err := syncFiles(j.root, names); err != nil {
		return err
	}
	for _, g := range j.ready {
		if err := j.rename(g); err != nil {
			return err
		}
	}
	j.ready, j.bytes = nil, 0
	return nil
}

// rename puts a whole file in its place. A log that lies beside a database
// goes first: SQLite would play it into a database that it is not of.
func (j *restore) rename(g *goal) error {
	if g.entry.Kind == pack.EntryDatabase {
		for _, side := range scan.SideFiles(g.name) {
			if err := j.root.Remove(side); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		j.report.Databases++
	}
	if err := j.root.Rename(j.temp(g), g.name); err != nil {
		return err
	}
	g.begun = false
	j.report.Files++
	j.report.Bytes += g.entry.Size
	j.meter.add(1, 0, g.name)
	return nil
}

// lose finds the goals that damaged or unknown segments cost.
func (j *restore) lose(ctx context.Context, fault error) error {
	found := append(j.found, damagesIn(fault)...)
	if ctx.Err() != nil || len(damagesIn(fault)) == 0 && !errors.Is(fault, pack.ErrUnknownSegment) {
		return errors.Join(ctx.Err(), fault)
	}
	named := map[*goal]bool{}
	for _, d := range found {
		out := Damage{Object: d.Object, What: d.What}
		for _, g := range j.costs(d.Lost) {
			named[g] = true
			out.Files = append(out.Files, g.name)
		}
		if len(out.Files) > 0 {
			j.report.Damaged = append(j.report.Damaged, out)
		}
	}
	rest := Damage{Object: "snapshot " + j.report.Snapshot.ID, What: "needs segments that no pack has"}
	for _, g := range j.goals {
		if g.left > 0 && !named[g] {
			rest.Files = append(rest.Files, g.name)
		}
		if g.left > 0 {
			g.lost = true
			j.root.Remove(j.temp(g))
		}
	}
	if len(rest.Files) > 0 {
		j.report.Damaged = append(j.report.Damaged, rest)
	}
	return nil
}

// costs gives the unfinished goals that need one of the segments.
func (j *restore) costs(ids []pack.ID) (out []*goal) {
	seen := map[*goal]bool{}
	for _, id := range ids {
		for _, u := range j.uses[id] {
			if u.goal.left > 0 && !seen[u.goal] {
				seen[u.goal] = true
				out = append(out, u.goal)
			}
		}
	}
	return out
}
