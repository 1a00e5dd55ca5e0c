package backup

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

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
	f, info := j.ownPart(j.temp(g))
	if f == nil {
		return
	}
	defer f.Close()
	done := j.doneParts(g, f, buf)
	if slices.Contains(done, true) {
		g.part, g.done = info, done
	}
}

// ownPart opens an unfinished file to read; nil for one that is not to be gone
// on with. Attack: who may write to the folder puts a link to a file of the
// restorer there, or a file that he keeps open for writing. Only a file that
// nobody else owns, writes or has by another name is gone on with.
func (j *restore) ownPart(name string) (*os.File, fs.FileInfo) {
	info, err := j.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o022 != 0 || !ownAlone(info) {
		return nil, nil
	}
	f, err := j.root.Open(name)
	if err != nil {
		return nil, nil
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		f.Close()
		return nil, nil
	}
	return f, info
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
	return append(done, j.doneGroups(g, f, buf)...)
}

// doneGroups tells which groups of a database are done: the pages that it
// holds are there, and of those that others lean on either they, or the others.
func (j *restore) doneGroups(g *goal, f io.ReaderAt, buf []byte) (done []bool) {
	bases, _ := j.ownPart(j.basesName(g))
	if bases != nil {
		defer bases.Close()
	}
	page := buf[:g.image.PageBytes]
	var kept []bool
	var on [][]int
	_ = g.image.Groups(func(group chunk.Group) error { // fails as the function does, which does not
		done = append(done, j.holds(f, group, page, func(i int) int64 {
			if !group.Live[i] {
				return -1
			}
			return int64(group.Pages[i] - 1)
		}))
		kept = append(kept, group.Keep == nil || bases != nil && j.holds(bases, group, page, func(i int) int64 { return int64(group.Keep[i]) }))
		on = append(on, group.On)
		return nil
	})
	for i := len(done) - 1; i >= 0; i-- {
		for _, base := range on[i] {
			done[base] = done[base] && (kept[base] || done[i])
		}
	}
	g.goesOn = bases != nil
	return done
}

// holds tells whether f has a group's pages at the places that at gives, in
// pages; negative ones are not asked for.
func (j *restore) holds(f io.ReaderAt, group chunk.Group, page []byte, at func(i int) int64) bool {
	for i, hash := range group.Hashes {
		if at(i) < 0 {
			continue
		}
		if _, err := f.ReadAt(page, at(i)*int64(len(page))); err != nil || j.r.pack.PageHash(page) != hash {
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
			g.unfinished = true
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
