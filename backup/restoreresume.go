package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// errPart: the unfinished file of an interrupted restore is another one than
// was looked at.
var errPart = errors.New("backup: an unfinished file was replaced while it was restored")

// resume finds out which parts of a goal an interrupted restore left whole
// under its temporary name. Each is held against its keyed id, or its pages
// against their hashes: times and sizes prove nothing.
func (j *restore) resume(g *goal, buf []byte) {
	name := j.temp(g)
	// Attack: who may write to the folder puts a link to a file of the
	// restorer there, or a file that he keeps open for writing. Only a file that
	// nobody else owns, writes or has by another name is gone on with.
	info, err := j.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o022 != 0 || !ownAlone(info) {
		return
	}
	f, err := j.root.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		return
	}
	done := j.doneParts(g, f, buf)
	for _, d := range done {
		if d {
			g.part, g.done = info, done
			return
		}
	}
}

// doneParts tells which parts of a goal f has, in the order of begin.
func (j *restore) doneParts(g *goal, f io.ReaderAt, buf []byte) (done []bool) {
	if g.entry.Kind == pack.EntryFile {
		for i, id := range g.ids {
			n, err := f.ReadAt(buf[:chunk.FileBytes], int64(i)*chunk.FileBytes)
			n = min(n, int(g.entry.Size-int64(i)*chunk.FileBytes))
			done = append(done, (err == nil || errors.Is(err, io.EOF)) && j.r.pack.SegmentID(pack.KindFile, buf[:max(n, 0)]) == id)
		}
		return done
	}
	_ = g.image.Groups(func(group chunk.Group) error { // fails as the function does, which does not
		done = append(done, j.doneGroup(g.image.PageBytes, group, f, buf))
		return nil
	})
	return done
}

func (j *restore) doneGroup(pageBytes uint32, group chunk.Group, f io.ReaderAt, buf []byte) bool {
	for i, number := range group.Pages {
		if !group.Live[i] {
			continue
		}
		page := buf[:pageBytes]
		if _, err := f.ReadAt(page, int64(number-1)*int64(pageBytes)); err != nil || j.r.pack.PageHash(page) != group.Hashes[i] {
			return false
		}
	}
	return true
}

// isDone tells whether a goal's part with this number is on the disk.
func (g *goal) isDone(part int) bool { return part < len(g.done) && g.done[part] }

// reopen opens the unfinished file that resume looked at.
func (j *restore) reopen(g *goal, in *os.Root, name string) (*os.File, error) {
	f, err := in.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(g.part, now) {
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.Join(errPart, err)}
	}
	return f, nil
}

// clean removes the temporary files of a restore that failed, but for what is
// there of large files where the storage was at fault: the next restore goes
// on with them. A full disk is not filled with halves.
func (j *restore) clean(cause error) {
	for _, g := range j.goals {
		if !errors.Is(cause, ErrTarget) && g.parts > 1 && g.left < g.parts {
			continue
		}
		j.discard(g)
	}
}

// sweep removes what earlier restores left unfinished and this one had no use
// for.
func (j *restore) sweep() {
	for name := range j.there.parts {
		if info, err := j.root.Lstat(name); err == nil && info.Mode().IsRegular() && ownAlone(info) {
			j.root.Remove(name)
		}
	}
}
