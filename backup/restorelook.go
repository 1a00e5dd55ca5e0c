package backup

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// plan reads the lists and compares what is in the target already. Nothing is
// written before all of it was looked at.
func (j *restore) plan(ctx context.Context) error {
	var differ []string
	buf := make([]byte, chunk.FileBytes)
	err := j.batches(ctx, func() error {
		more, err := j.look(ctx, buf)
		differ = append(differ, more...)
		return err
	})
	if j.planned = err == nil; !j.planned {
		return err
	}
	if len(j.facts) == 0 && !j.all {
		return fmt.Errorf("%w: %s", ErrSelection, some(j.opt.Include))
	}
	if len(differ) > 0 && !j.opt.DryRun {
		return fmt.Errorf("%w: %d in %s (%s); nothing was written", ErrDiffers, len(differ), j.target, some(differ))
	}
	return nil
}

// look looks at one batch.
func (j *restore) look(ctx context.Context, buf []byte) (differ []string, err error) {
	for _, g := range j.goals {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if g.lost {
			continue
		}
		differs, err := j.lookAt(g, buf)
		if err != nil {
			return nil, local(ErrTarget, err)
		}
		if g.blocked = differs; differs {
			differ = append(differ, g.name)
		}
		j.expect(g)
	}
	if j.opt.DryRun {
		j.tellPlan()
	}
	return differ, nil
}

// expect counts what is to be written.
func (j *restore) expect(g *goal) {
	file := g.entry.Kind == pack.EntryFile || g.entry.Kind == pack.EntryDatabase
	j.meter.update(false, func(p *Progress) {
		if p.Current = g.name; file && !g.kept && g.first == nil {
			p.FilesTotal++
			p.BytesTotal += g.entry.Size
		}
	})
}

// lookAt finds out whether a goal is there already, whole or in part, and
// whether something else stands in its way.
func (j *restore) lookAt(g *goal, buf []byte) (differs bool, err error) {
	there, err := j.there.has(g.name)
	if err != nil {
		return false, err
	}
	if there {
		info, err := j.root.Lstat(g.name)
		switch {
		case err == nil && j.same(g, info, buf):
			g.kept = true
		case err == nil:
			g.inWay = true
			differs = info.IsDir() || !j.opt.Overwrite
		case !os.IsNotExist(err) && !isNotDir(err):
			return false, err
		}
	}
	if g.entry.Kind != pack.EntryFile && g.entry.Kind != pack.EntryDatabase {
		return differs, nil
	}
	g.hasPart, err = j.there.hasPart(j.temp(g))
	if g.hasPart && !g.kept && g.first == nil && !j.opt.DryRun {
		j.resume(g, buf)
	}
	if g.entry.Kind == pack.EntryDatabase && !g.kept && j.root != nil {
		// A log beside it would be taken for this database's.
		differs = differs || j.hasSide(g) && !j.opt.Overwrite
	}
	return differs, err
}

// same tells whether what is there is what the snapshot has.
func (j *restore) same(g *goal, info fs.FileInfo, buf []byte) bool {
	switch g.entry.Kind {
	case pack.EntryDir:
		return info.IsDir()
	case pack.EntrySymlink:
		link, err := j.root.Readlink(g.name)
		return err == nil && link == g.entry.Link
	}
	if !info.Mode().IsRegular() || info.Size() != g.entry.Size {
		return false
	}
	f, _, err := scan.Open(j.full(g))
	if err != nil {
		return false
	}
	defer f.Close()
	if j.verifying {
		f.Uncache()
	}
	if g.entry.Kind == pack.EntryDatabase {
		return !j.hasSide(g) && j.samePages(g, f)
	}
	at, holes := 0, int64(0)
	if scan.Sparse(info) {
		holes = g.entry.Size
	}
	_, err = chunk.SparseFile(f, holes, buf, func(segment []byte) error {
		if at >= len(g.ids) || j.segmentID(segment) != g.ids[at] {
			return ErrDiffers
		}
		at++
		return nil
	})
	return err == nil && at == len(g.ids)
}

// segmentID is the id of a part of a file. That of a hole is known.
func (j *restore) segmentID(segment []byte) pack.ID {
	if len(segment) > 0 && &segment[0] == &chunk.Zeros[0] {
		return j.hole
	}
	return j.r.pack.SegmentID(pack.KindFile, segment)
}

func (j *restore) samePages(g *goal, f *scan.File) bool {
	page := make([]byte, g.image.PageBytes)
	for number := uint32(1); number <= g.image.Pages; number++ {
		if _, err := io.ReadFull(f, page); err != nil {
			return false
		}
		hash, ok := g.image.Hash(number)
		if !ok || j.r.pack.PageHash(page) != hash {
			return false
		}
	}
	return true
}

// hasSide tells whether a log or journal with something in it lies where a
// database goes.
func (j *restore) hasSide(g *goal) bool {
	for _, side := range scan.SideFiles(g.name) {
		if info, err := j.root.Lstat(side); err == nil && info.Size() > 0 && !isShared(side) {
			return true
		}
	}
	return false
}

// isShared: the -shm file says nothing without its log.
func isShared(side string) bool { return filepath.Ext(side) != "" && side[len(side)-4:] == "-shm" }

func (j *restore) full(g *goal) string { return filepath.Join(j.target, filepath.FromSlash(g.name)) }
