package backup

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path"
	"time"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// origin is a file that has several names: what of it outlives its batch.
type origin struct {
	name string // the first
	size int64
	ids  [sha256.Size]byte // hash of its content's ids
	lost bool
}

// findLinks finds the goals of a batch that are further names of an earlier
// one. Only those that say the same content are: who wrote the list may have
// been taken over.
func (j *restore) findLinks() {
	for _, g := range j.goals {
		if g.entry.Same == 0 || g.lost {
			continue
		}
		sum := sha256.Sum256(joinIDs(g.ids))
		f := j.origins[g.entry.Same]
		if f == nil {
			g.origin = &origin{name: g.name, size: g.entry.Size, ids: sum}
			j.origins[g.entry.Same] = g.origin
		} else if f.size == g.entry.Size && f.ids == sum {
			g.first = f
		}
	}
}

// makeNames gives the files of a batch their further names. Where the file system has none,
// they are copies.
func (j *restore) makeNames() error {
	for _, g := range j.goals {
		if g.first == nil || g.kept {
			continue
		}
		if g.first.lost {
			j.giveUp(g)
			j.report.Damaged = append(j.report.Damaged, Damage{Object: g.first.name, What: "is lost, and this is the same file", Files: []string{g.name}})
			continue
		}
		if err := j.makeName(g); err != nil {
			return err
		}
		j.report.Files++
		j.meter.add(1, 0, g.name)
	}
	return nil
}

func (j *restore) makeName(g *goal) error {
	if err := j.folder(path.Dir(g.name)); err != nil {
		return err
	}
	temp := j.temp(g)
	if err := j.root.Remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := j.root.Link(g.first.name, temp); err != nil {
		if err := j.copy(g, temp); err != nil {
			return err
		}
	}
	if err := j.root.Rename(temp, g.name); err != nil {
		return errors.Join(err, j.root.Remove(temp))
	}
	return nil
}

// copy makes a file of its own out of another name's.
func (j *restore) copy(g *goal, temp string) error {
	from, err := j.root.Open(g.first.name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := j.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(j.mode(g)), to.Sync(), to.Close())
	when := time.Unix(0, g.entry.ModNanos)
	return errors.Join(err, j.root.Chtimes(temp, when, when))
}

// setAttributes gives an open file or folder its extended attributes. One that
// the target does not take is a warning, once for each name.
func (j *restore) setAttributes(g *goal, f *os.File) {
	for _, a := range g.entry.Attributes {
		err := scan.SetAttribute(f.Fd(), scan.Attribute{Name: a.Name, Value: a.Value})
		if err == nil {
			continue
		}
		j.mu.Lock()
		if !j.refused[a.Name] {
			j.refused[a.Name] = true
			j.report.Warnings = append(j.report.Warnings, Warning{Path: j.full(g), What: "restored without its extended attribute " + a.Name + " (" + err.Error() + "), and so are others that have it"})
		}
		j.mu.Unlock()
	}
}

// isHole tells whether a part of a file is one that need not be written: the
// temporary file is new, and a hole there already.
func (j *restore) isHole(g *goal, id pack.ID) bool { return id == j.hole && g.part == nil }
