package backup

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"strongroom/backup/pack"
)

// Kinds of Change.
const (
	Added    = "+"
	Removed  = "-"
	Modified = "M" // other content
	Touched  = "U" // the same content; mode, time or attributes are others
)

// Change is what differs at one path between two snapshots.
type Change struct {
	Thing         // as it is in the later one, or was where it is removed
	Change string // Added, ...
	Before int64  // size in the earlier one
}

// DiffReport tells of the two snapshots and how much differs.
type DiffReport struct {
	From, To                          SnapshotInfo
	Added, Removed, Modified, Touched int
}

// Diff gives what differs from one snapshot to another, in order of roots and
// paths. Both are read as streams, beside each other; lists of entries that
// both have are not even read. What is damaged is in the error, after all else
// was given; an entry that one side lost is given as added or removed.
func (r *Repository) Diff(ctx context.Context, from, to string, give func(Change) error) (report DiffReport, err error) {
	a, err := r.open(ctx, from)
	if err != nil {
		return report, err
	}
	b, err := r.open(ctx, to)
	if err != nil {
		return report, err
	}
	report.From, report.To = info(a), info(b)
	count := func(c Change) error {
		switch c.Change {
		case Added:
			report.Added++
		case Removed:
			report.Removed++
		case Modified:
			report.Modified++
		case Touched:
			report.Touched++
		}
		return give(c)
	}
	for _, pair := range rootPairs(a, b) {
		before := r.beside(ctx, a, b, pair.before)
		after := r.beside(ctx, b, a, pair.after)
		if err := compare(before, after, pair.before == allRoots, count); err != nil {
			return report, err
		}
	}
	return report, nil
}

// rootPair are the roots of two snapshots that are compared with each other:
// the one with this number, all of them, or none.
type rootPair struct{ before, after int }

const (
	allRoots = -1
	noRoot   = -2
)

// rootPairs pairs roots of the same name. Where two snapshots have the same
// names in the same order, one look at each is enough.
func rootPairs(a, b *pack.Manifest) (out []rootPair) {
	before, after := rootNames(a.Roots), rootNames(b.Roots)
	if slices.Equal(before, after) {
		return []rootPair{{allRoots, allRoots}}
	}
	at := func(names []string, name string) int {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
		return noRoot
	}
	all := slices.Concat(before, after)
	slices.Sort(all)
	for _, name := range slices.Compact(all) {
		out = append(out, rootPair{at(before, name), at(after, name)})
	}
	return out
}

// entries is a stream of a snapshot's entries. err is set at its end.
type entries struct {
	names []string // of the roots
	all   iter.Seq[*pack.Entry]
	err   error
}

// beside gives those entries of a root of m that lie in lists which other does
// not have.
func (r *Repository) beside(ctx context.Context, m, other *pack.Manifest, root int) *entries {
	part := *m
	if slices.Equal(m.Roots, other.Roots) {
		there := map[pack.ID]bool{}
		for _, id := range other.Lists {
			there[id] = true
		}
		part.Lists = slices.DeleteFunc(slices.Clone(m.Lists), func(id pack.ID) bool { return there[id] })
	}
	if root == noRoot {
		part.Lists = nil
	}
	out := &entries{names: rootNames(m.Roots)}
	out.all = func(yield func(*pack.Entry) bool) {
		out.err = r.pack.Entries(ctx, &part, func(e *pack.Entry) error {
			if root != allRoots && int(e.Root) != root {
				return ctx.Err()
			}
			if !yield(e) {
				return errEnough
			}
			return ctx.Err()
		})
	}
	return out
}

// errEnough ends a stream that nobody reads on.
var errEnough = errors.New("enough")

// compare goes through two streams in their common order: of paths, and of
// roots before where there are several.
func compare(before, after *entries, roots bool, give func(Change) error) error {
	nextA, stopA := iter.Pull(before.all)
	defer stopA()
	nextB, stopB := iter.Pull(after.all)
	defer stopB()
	a, moreA := nextA()
	b, moreB := nextB()
	for moreA || moreB {
		order := 0
		switch {
		case !moreA:
			order = 1
		case !moreB:
			order = -1
		case roots && a.Root != b.Root:
			order = cmp.Compare(a.Root, b.Root)
		default:
			order = strings.Compare(a.Path, b.Path)
		}
		if c, differs := change(order, a, b, before.names, after.names); differs {
			if err := give(c); err != nil {
				return err
			}
		}
		if order <= 0 {
			a, moreA = nextA()
		}
		if order >= 0 {
			b, moreB = nextB()
		}
	}
	return errors.Join(before.err, after.err)
}

// change tells what differs at one path: a alone is there for an order below
// 0, b alone for one above.
func change(order int, a, b *pack.Entry, before, after []string) (c Change, differs bool) {
	switch {
	case order < 0:
		t := thingOf(before, a)
		return Change{Thing: t, Change: Removed, Before: t.Size}, true
	case order > 0:
		return Change{Thing: thingOf(after, b), Change: Added}, true
	case a.Kind != b.Kind, a.ContentHash() != b.ContentHash():
		return Change{Thing: thingOf(after, b), Change: Modified, Before: a.Size}, true
	case a.MetaHash() != b.MetaHash():
		return Change{Thing: thingOf(after, b), Change: Touched, Before: a.Size}, true
	}
	return c, false
}
