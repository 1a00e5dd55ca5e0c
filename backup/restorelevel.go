package backup

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// readLevels reads what was needed, level after level. Of a database that lost
// something no further level is read.
func (j *restore) readLevels(ctx context.Context) error {
	var faults []error
	for ; j.level < len(j.levels); j.level++ {
		for _, g := range j.goals {
			g.broken = g.broken || j.level > 0 && j.level < len(g.due) && slices.Max(g.due[:j.level]) > 0
		}
		err := j.r.pack.ReadAll(ctx, j.levels[j.level], j.segment)
		if err != nil && len(damagesIn(err)) == 0 && !errors.Is(err, pack.ErrUnknownSegment) {
			return err
		}
		faults = append(faults, err)
	}
	return errors.Join(append(faults, j.wrong...)...)
}

// begin makes ready for a goal's segments.
func (j *restore) begin(g *goal) (err error) {
	need := func(level int, id pack.ID, u use) {
		for len(j.levels) <= level {
			j.levels = append(j.levels, nil)
		}
		j.levels[level] = append(j.levels[level], id)
		j.uses[id] = append(j.uses[id], u)
		g.left++
	}
	switch g.entry.Kind {
	case pack.EntryFile:
		g.parts = len(g.ids)
		for i, id := range g.ids {
			if !g.isDone(i) && !j.isHole(g, id) {
				need(0, id, use{goal: g, offset: int64(i) * chunk.FileBytes})
			}
		}
	case pack.EntryDatabase:
		err = g.image.Groups(func(group chunk.Group) error {
			for len(g.due) <= group.Level {
				g.due = append(g.due, 0)
			}
			if g.parts++; !g.isDone(g.parts - 1) {
				need(group.Level, group.ID, use{goal: g, group: &group})
				g.due[group.Level]++
			}
			return nil
		})
		if err == nil && len(g.due) > 1 && g.left > 0 {
			err = j.openBases(g)
		}
	default:
		return nil // folders are there, links come last
	}
	if err == nil && g.left == 0 {
		err = j.complete(g)
	}
	return err
}

// openBases opens the file of what a database's differences lean on: the one
// that an interrupted restore left, if resume found something in it.
func (j *restore) openBases(g *goal) (err error) {
	name, flag := j.basesName(g), os.O_RDWR
	if !g.goesOn {
		j.root.Remove(name)
		flag |= os.O_CREATE | os.O_EXCL
	}
	g.bases, err = j.root.OpenFile(name, flag, 0o600)
	return err
}

func (j *restore) basesName(g *goal) string {
	return strings.TrimSuffix(j.temp(g), scan.PartSuffix) + "-bases" + scan.PartSuffix
}

// closeBases lets go of the file, which stays only for a restore that goes on:
// before the folder that it is in gets its time.
func (j *restore) closeBases(g *goal) {
	if g.bases == nil {
		return
	}
	g.bases.Close()
	if g.bases = nil; !g.unfinished {
		j.root.Remove(j.basesName(g))
	}
}

// writePages writes the live pages of a group, neighbours in one write.
func (j *restore) writePages(f *os.File, u use, plain []byte) error {
	size := int(u.goal.image.PageBytes)
	plain, err := (&patcher{repo: j.r.pack, bytes: size, kept: u.goal.bases}).pages(u.group, plain)
	if err != nil {
		return err
	}
	for i := 0; i < len(u.group.Pages); {
		if !u.group.Live[i] {
			i++
			continue
		}
		from := i
		for ; i < len(u.group.Pages) && u.group.Live[i] && u.group.Pages[i] == u.group.Pages[from]+uint32(i-from); i++ {
		}
		if _, err := f.WriteAt(plain[from*size:i*size], int64(u.group.Pages[from]-1)*int64(size)); err != nil {
			return err
		}
	}
	return nil
}
