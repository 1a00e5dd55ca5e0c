package backup

import (
	"errors"
	"slices"
)

// remembering writes the state that a run leaves, root after root. Its errors
// are no reason not to back up: they are told when all else is done.
type remembering struct {
	b     *run
	roots int            // so many are begun
	w     *stateWriter   // of the last of them; nil where it is another name of an earlier one
	done  []*stateWriter // of the roots before it
	bases []string       // full paths of the databases that are remembered
	err   error
}

// add takes down a file or database that is in the backup. Of a file that only
// looks like a database nothing is kept: SQLite is asked again next time.
func (k *remembering) add(it *item) {
	if k.err != nil || it.refused {
		return
	}
	if k.roots != int(it.root)+1 {
		k.next(int(it.root))
	}
	if it.seen.Database != nil {
		k.bases = append(k.bases, it.Full)
	}
	if k.err == nil && k.w != nil {
		k.err = k.w.add(it.seen)
	}
}

// next begins the file of a root.
func (k *remembering) next(root int) {
	if k.w != nil {
		k.done = append(k.done, k.w)
	}
	k.roots, k.w = root+1, nil
	if full := k.b.full[root]; !slices.Contains(k.b.full[:root], full) {
		k.w, k.err = k.b.state.begin(full)
	}
}

// keep puts what was written in the place of the state before, once a head
// tells of what it says.
func (k *remembering) keep() error {
	if k.w != nil {
		k.done, k.w = append(k.done, k.w), nil
	}
	if k.err != nil {
		k.drop()
		return k.err
	}
	all := k.done
	k.done = nil
	for _, w := range all {
		k.err = errors.Join(k.err, w.keep())
	}
	k.b.state.sweep(k.b.full, k.bases)
	return k.err
}

// drop removes what was not kept.
func (k *remembering) drop() {
	for _, w := range append(k.done, k.w) {
		if w != nil {
			w.drop()
		}
	}
	k.done, k.w = nil, nil
}
