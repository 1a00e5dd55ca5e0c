package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"
	"time"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// write restores batch after batch.
func (j *restore) write(ctx context.Context) error {
	j.meter.phase(PhaseFiles)
	if j.opt.StateDir != "" {
		j.keep = &recollection{j: j}
	}
	return j.batches(ctx, func() error {
		if err := j.writeBatch(ctx); err != nil {
			return err
		}
		return local(ErrTarget, j.endBatch())
	})
}

// writeBatch makes folders, then writes every segment where it belongs, reading
// each pack once, and once more for each level of a database's differences.
// What is whole when the storage breaks stays.
func (j *restore) writeBatch(ctx context.Context) error {
	j.uses, j.levels, j.level, j.wrong = map[pack.ID][]use{}, nil, 0, nil
	if err := j.makeFolders(); err != nil {
		return local(ErrTarget, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.startSettler(cancel)
	for _, g := range j.goals {
		if g.lost || g.kept || g.first != nil {
			continue
		}
		if g.hasPart && !j.single {
			j.resume(g, make([]byte, chunk.FileBytes))
		}
		if err := j.begin(g); err != nil {
			return errors.Join(local(ErrTarget, err), j.settleAll())
		}
	}
	fault := j.readLevels(ctx)
	if err := j.settleAll(); err != nil {
		return local(ErrTarget, err)
	}
	if fault == nil {
		return nil
	}
	return j.lose(ctx, fault)
}

// endBatch does what can be done once all files of a batch are whole, and
// keeps what comes last of all: links, and the modes of folders.
func (j *restore) endBatch() error {
	if err := j.makeNames(); err != nil {
		return err
	}
	for _, g := range j.goals {
		switch {
		case g.entry.Kind == pack.EntryDir:
			j.folders = append(j.folders, g)
		case g.entry.Kind == pack.EntrySymlink && !g.kept && !g.lost:
			j.symlinks = append(j.symlinks, g)
		case g.entry.Kind != pack.EntrySymlink && g.kept:
			j.report.FilesKept++
			if err := j.attributes(g); err != nil {
				return err
			}
		}
		j.meter.step(g.name)
	}
	j.warnModes()
	if j.keep != nil {
		j.keep.batch(j.goals)
	}
	return nil
}

// makeFolders makes the folder of every goal.
func (j *restore) makeFolders() error {
	for _, g := range j.goals {
		if g.lost || g.kept {
			continue
		}
		name := g.name
		if g.entry.Kind != pack.EntryDir {
			name = path.Dir(name)
		}
		if err := j.folder(name); err != nil {
			return err
		}
	}
	return nil
}

// foldersOpenMax is how many folders are held open, so that the way to a file
// in them is not gone name by name for each thing that is done with it.
const foldersOpenMax = 128

// folder makes a folder unless it did so before.
func (j *restore) folder(name string) error {
	if _, done := j.made[name]; done {
		return nil
	}
	if err := j.makeFolder(name); err != nil {
		return err
	}
	j.made[name] = nil
	if len(j.made) <= foldersOpenMax {
		if f, err := j.root.OpenRoot(name); err == nil {
			j.made[name] = f
		}
	}
	return nil
}

// at gives the folder to find a name in, and what it is called there.
func (j *restore) at(name string) (*os.Root, string) {
	if f := j.made[path.Dir(name)]; f != nil {
		return f, path.Base(name)
	}
	return j.root, name
}

// makeFolder makes a folder and those above it. A file in its place was
// refused by look, or may be replaced.
func (j *restore) makeFolder(name string) error {
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
		if u.level() != j.level || u.goal.broken {
			continue
		}
		err := j.writeUse(u, plain)
		if errors.Is(err, errPage) {
			j.notTheOne(id, err)
			continue
		}
		if err != nil {
			return local(ErrTarget, fmt.Errorf("%s: %w", j.full(u.goal), err))
		}
		j.meter.add(0, int64(len(plain)), u.goal.name)
	}
	return nil
}

// notTheOne notes a segment that opens and holds other pages than the snapshot
// says. It costs its database, as damage does, and nothing else.
func (j *restore) notTheOne(id pack.ID, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wrong = append(j.wrong, &pack.Damage{Object: "snapshot " + j.report.Snapshot.ID, What: err.Error(), Lost: []pack.ID{id}})
}

// writeUse writes a segment to one place. Whoever writes the last of a file
// finishes it.
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
		err = writeSparse(f, plain, u.offset, u.goal.part == nil)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !j.lastOf(u) {
		return f.Close()
	}
	return j.whole(u.goal, f)
}

// holeBytes is the least that is left out of a file as a hole.
const holeBytes = 64 << 10

// writeSparse writes at an offset, but for zeros where holes will do.
func writeSparse(f *os.File, plain []byte, offset int64, holes bool) error {
	for len(plain) > 0 {
		n := len(plain)
		if holes {
			n = solidBytes(plain)
		}
		if n > 0 {
			if _, err := f.WriteAt(plain[:n], offset); err != nil {
				return err
			}
		}
		for n < len(plain) && holes && allZero(plain[n:min(n+holeBytes, len(plain))]) {
			n = min(n+holeBytes, len(plain))
		}
		plain, offset = plain[n:], offset+int64(n)
	}
	return nil
}

// solidBytes is how much of b comes before the first hole, in whole holes.
func solidBytes(b []byte) (n int) {
	for n < len(b) && !allZero(b[n:min(n+holeBytes, len(b))]) {
		n = min(n+holeBytes, len(b))
	}
	return n
}

func allZero(b []byte) bool { return bytes.Equal(b, chunk.Zeros[:len(b)]) }

// lastOf counts a segment that is written, and tells whether it was the last.
func (j *restore) lastOf(u use) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if u.group != nil {
		u.goal.due[u.group.Level]--
	}
	u.goal.left--
	return u.goal.left == 0
}

// openTemp opens a goal's temporary file, a new one the first time.
func (j *restore) openTemp(g *goal) (*os.File, error) {
	if g.parts > 1 { // else nobody opens it but this goroutine
		g.opening.Lock()
		defer g.opening.Unlock()
	}
	in, name := j.at(j.temp(g))
	if g.begun.Load() {
		return in.OpenFile(name, os.O_WRONLY, 0)
	}
	if g.part != nil {
		f, err := j.reopen(g, in, name)
		g.begun.Store(err == nil)
		return f, err
	}
	const fresh = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := in.OpenFile(name, fresh, 0o600)
	if os.IsExist(err) {
		// What has this name may be somebody's link: never written through.
		if err := in.Remove(name); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		f, err = in.OpenFile(name, fresh, 0o600)
	}
	if err == nil {
		g.begun.Store(true)
	}
	return f, err
}

// complete finishes a file that needs no segment: it has none, or an
// interrupted restore left all of them.
func (j *restore) complete(g *goal) error {
	if g.part != nil { // it may have its mode already, by which it can not be opened
		g.begun.Store(true)
		in, name := j.at(j.temp(g))
		if err := in.Chmod(name, 0o600); err != nil {
			return err
		}
	}
	f, err := j.openTemp(g)
	if err != nil {
		return err
	}
	return j.whole(g, f)
}

// whole gives a temporary file whose segments are all written its size, mode
// and time, and hands it on to be made durable.
func (j *restore) whole(g *goal, f *os.File) error {
	j.closeBases(g)
	err := f.Truncate(g.entry.Size) // which takes capabilities away: they come after it
	j.setAttributes(g, f)
	err = errors.Join(err, f.Chmod(j.mode(g)), f.Close())
	when := time.Unix(0, g.entry.ModNanos)
	in, name := j.at(j.temp(g))
	if err = errors.Join(err, in.Chtimes(name, when, when)); err != nil {
		return err
	}
	j.settle.add(g)
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
			j.addDamage(out)
		}
	}
	rest := Damage{Object: "snapshot " + j.report.Snapshot.ID, What: "needs segments that no pack has"}
	for _, g := range j.goals {
		if g.left > 0 && !named[g] {
			rest.Files = append(rest.Files, g.name)
		}
		if g.left > 0 {
			j.giveUp(g)
			j.discard(g)
		}
	}
	if len(rest.Files) > 0 {
		j.addDamage(rest)
	}
	return nil
}

// addDamage adds what an object costs this batch to what it cost others.
func (j *restore) addDamage(d Damage) {
	for i, have := range j.report.Damaged {
		if have.Object == d.Object && have.What == d.What {
			j.report.Damaged[i].Files = append(have.Files, d.Files...)
			return
		}
	}
	j.report.Damaged = append(j.report.Damaged, d)
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
