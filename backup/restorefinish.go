package backup

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"time"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// finish makes links, sets the folders' modes and times (which writing into
// them changed), and tells the local state.
func (j *restore) finish(ctx context.Context) error {
	j.meter.phase(PhaseFinish)
	for _, g := range j.goals {
		if g.entry.Kind == pack.EntrySymlink && !g.kept && !g.lost {
			if err := j.link(g); err != nil {
				return local(ErrTarget, err)
			}
		}
	}
	if err := j.makeNames(); err != nil {
		return local(ErrTarget, err)
	}
	for i := len(j.goals) - 1; i >= 0; i-- { // those within before those around
		if err := j.attributes(j.goals[i]); err != nil {
			return local(ErrTarget, err)
		}
	}
	j.warnModes()
	for _, g := range j.goals {
		if g.kept && g.entry.Kind != pack.EntryDir && g.entry.Kind != pack.EntrySymlink {
			j.report.FilesKept++
		}
	}
	j.sweep()
	if err := syncFolders(j.root, j.folders()); err != nil {
		return local(ErrTarget, err)
	}
	if j.opt.StateDir == "" {
		return nil
	}
	if err := j.remember(); err != nil {
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

// warnModes says which files lost their setuid or setgid bit.
func (j *restore) warnModes() {
	for _, g := range j.goals {
		if !g.lost && g.entry.Kind != pack.EntrySymlink && j.mode(g) != scan.FileMode(g.entry.Mode) {
			j.report.Warnings = append(j.report.Warnings, Warning{Path: j.full(g),
				What: "restored without its setuid or setgid bit, since it has another owner now"})
		}
	}
}

func (j *restore) folders() (out []string) {
	for _, g := range j.goals {
		if g.entry.Kind == pack.EntryDir {
			out = append(out, g.name)
		}
	}
	return append(out, ".")
}

// remember fills the local state with what is now in the target.
func (j *restore) remember() error {
	s, err := j.r.openState(j.opt.StateDir)
	if err != nil {
		return err
	}
	for i, name := range j.names {
		if err := j.rememberRoot(s, uint32(i), filepath.Join(j.target, name)); err != nil {
			return err
		}
	}
	return nil
}

// rememberRoot writes the state of one root: what was restored, and of all
// else below it what was known before.
func (j *restore) rememberRoot(s *state, number uint32, root string) error {
	w, err := s.begin(root)
	if err != nil {
		return err
	}
	old := s.cursor(root, func() { j.meter.step(root) })
	defer old.close()
	now := time.Now().UnixNano()
	for _, g := range j.goals {
		if g.entry.Root != number || g.lost || g.entry.Kind == pack.EntryDir || g.entry.Kind == pack.EntrySymlink {
			continue
		}
		f, err := j.sight(s, g, root, now)
		if err == nil {
			err = old.before(f.Path, w.add)
		}
		if err == nil {
			err = w.add(f)
		}
		if err != nil {
			w.drop()
			return err
		}
	}
	if err := old.rest(w.add); err != nil {
		w.drop()
		return err
	}
	return w.keep()
}

// sight is what the state keeps of a goal.
func (j *restore) sight(s *state, g *goal, root string, now int64) (*seen, error) {
	full := j.full(g)
	info, err := os.Lstat(full)
	if err != nil {
		return nil, err
	}
	below, err := filepath.Rel(root, full)
	if err != nil {
		return nil, err
	}
	f := &seen{Stat: scan.StatOf(info), IDs: joinIDs(g.ids)}
	if below != "." {
		f.Path = filepath.ToSlash(below)
	}
	// What the target took of extended attributes the next backup looks up.
	f.Racy = f.Stat.Racy(now) || len(g.entry.Attributes) > 0
	if g.image != nil {
		f.Database = &seenDatabase{Log: logStat(full)}
		f.Database.Image, err = s.saveImage(full, g.image)
	}
	return f, err
}
