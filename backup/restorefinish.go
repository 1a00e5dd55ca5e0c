package backup

import (
	"context"
	"os"
	"path"
	"slices"
	"time"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// finish makes links, sets the folders' modes and times (which writing into
// them changed), and tells the local state.
func (j *restore) finish(context.Context) error {
	j.meter.phase(PhaseFinish)
	for _, g := range j.symlinks {
		if err := j.link(g); err != nil {
			return local(ErrTarget, err)
		}
		j.meter.step(g.name)
	}
	names := []string{"."}
	for _, g := range slices.Backward(j.folders) { // those within before those around
		if err := j.attributes(g); err != nil {
			return local(ErrTarget, err)
		}
		names = append(names, g.name)
		j.meter.step(g.name)
	}
	j.sweep()
	if err := syncFolders(j.root, names); err != nil {
		return local(ErrTarget, err)
	}
	if j.keep == nil {
		return nil
	}
	if err := j.keep.keep(); err != nil {
		j.report.Warnings = append(j.report.Warnings, Warning{Path: j.opt.StateDir, What: "the local state was not kept, the next backup reads everything: " + err.Error()})
	}
	return nil
}

func (j *restore) link(g *goal) error {
	temp := j.temp(g)
	if err := j.root.Remove(temp); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := j.folder(path.Dir(g.name)); err != nil {
		return err
	}
	if err := j.root.Symlink(g.entry.Link, temp); err != nil {
		return err
	}
	if err := j.root.Rename(temp, g.name); err != nil {
		j.root.Remove(temp)
		return err
	}
	return nil
}

// attributes sets mode and time of folders, and of files that were there.
func (j *restore) attributes(g *goal) error {
	if g.lost || g.entry.Kind == pack.EntrySymlink || g.entry.Kind != pack.EntryDir && !g.kept || g.around && g.kept {
		return nil
	}
	if len(g.entry.Attributes) > 0 {
		if f, err := j.root.Open(g.name); err == nil { // one that may not be read keeps what it has
			j.setAttributes(g, f)
			f.Close()
		}
	}
	if err := j.root.Chmod(g.name, j.mode(g)); err != nil {
		return err
	}
	when := time.Unix(0, g.entry.ModNanos)
	return j.root.Chtimes(g.name, when, when)
}

// mode gives the mode that a goal gets. Attack: bert marks his copy of a shell
// setuid, root backs up and restores /home, and the shell is root's now, since
// a restored file belongs to who restores it. Owners are not restored, so no
// file acts as its owner.
func (j *restore) mode(g *goal) os.FileMode {
	m := scan.FileMode(g.entry.Mode)
	if g.entry.Kind != pack.EntryDir {
		m &^= os.ModeSetuid | os.ModeSetgid
	}
	return m
}

// warnModes says which files of a batch lost their setuid or setgid bit.
func (j *restore) warnModes() {
	for _, g := range j.goals {
		if !g.lost && g.entry.Kind != pack.EntrySymlink && j.mode(g) != scan.FileMode(g.entry.Mode) {
			j.report.Warnings = append(j.report.Warnings, Warning{Path: j.full(g),
				What: "restored without its setuid or setgid bit, since it has another owner now"})
		}
	}
}
