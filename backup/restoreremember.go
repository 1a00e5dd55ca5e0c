package backup

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// recollection fills the local state with what a restore wrote, batch after
// batch, so that the next backup from there sends nothing again. Of all else
// below the same folders it keeps what was known before.
type recollection struct {
	j    *restore
	s    *state
	root uint32
	path string       // of the root, in the target
	w    *stateWriter // of the root; nil before the first
	old  *stateCursor
	done []*stateWriter
	err  error
}

// batch takes down files that are in their places. An error is told in the end.
func (k *recollection) batch(goals []*goal) {
	for _, g := range goals {
		if k.err != nil {
			return
		}
		if g.lost || g.entry.Kind == pack.EntryDir || g.entry.Kind == pack.EntrySymlink {
			continue
		}
		if k.w == nil || k.root != g.entry.Root {
			k.next(g.entry.Root)
		}
		if k.err == nil {
			k.err = k.add(g)
		}
	}
}

// next begins the state of a root.
func (k *recollection) next(root uint32) {
	if k.end(); k.err != nil {
		return
	}
	if k.s == nil {
		if k.s, k.err = k.j.r.openState(k.j.opt.StateDir); k.err != nil {
			return
		}
	}
	k.root, k.path = root, filepath.Join(k.j.target, k.j.names[root])
	k.old = k.s.cursor(k.path, func() { k.j.meter.step(k.path) })
	k.w, k.err = k.s.begin(k.path)
}

// end ends the state of a root.
func (k *recollection) end() {
	if k.w == nil {
		return
	}
	k.err = errors.Join(k.err, k.old.rest(k.w.add))
	k.old.close()
	k.done, k.w, k.old = append(k.done, k.w), nil, nil
}

func (k *recollection) add(g *goal) error {
	full := k.j.full(g)
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	below, err := filepath.Rel(k.path, full)
	if err != nil {
		return err
	}
	f := &seen{Stat: scan.StatOf(info), IDs: joinIDs(g.ids)}
	if below != "." {
		f.Path = filepath.ToSlash(below)
	}
	// What the target took of extended attributes the next backup looks up.
	f.Racy = f.Stat.Racy(time.Now().UnixNano()) || len(g.entry.Attributes) > 0
	if g.image != nil {
		f.Database = &seenDatabase{Log: logStat(full)}
		if f.Database.Image, err = k.s.saveImage(full, g.image); err != nil {
			return err
		}
	}
	if err := k.old.before(f.Path, k.w.add); err != nil {
		return err
	}
	return k.w.add(f)
}

// keep puts the states in their places.
func (k *recollection) keep() error {
	if k.end(); k.err != nil {
		k.drop()
		return k.err
	}
	all := k.done
	k.done = nil
	for _, w := range all {
		k.err = errors.Join(k.err, w.keep())
	}
	return k.err
}

// drop gives up.
func (k *recollection) drop() {
	for _, w := range append(k.done, k.w) {
		if w != nil {
			w.drop()
		}
	}
	if k.old != nil {
		k.old.close()
	}
	k.done, k.w, k.old = nil, nil, nil
}
