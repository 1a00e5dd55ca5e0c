package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// seenEntry is what Diff remembers of an entry of the earlier snapshot.
type seenEntry struct {
	thing   Thing
	content [sha256.Size]byte
	rest    [sha256.Size]byte
}

// Diff gives what differs from one snapshot to another, in order of paths.
// Lists of entries that both have are not even read.
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
	before, err := r.entriesBeside(ctx, a, b)
	if err != nil {
		return report, err
	}
	after, err := r.entriesBeside(ctx, b, a)
	if err != nil {
		return report, err
	}
	for _, c := range compare(before, after) {
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
		if err := give(c); err != nil {
			return report, err
		}
	}
	return report, nil
}

// entriesBeside reads those entries of m that lie in lists which other does
// not have.
func (r *Repository) entriesBeside(ctx context.Context, m, other *pack.Manifest) (map[string]seenEntry, error) {
	part := *m
	if slices.Equal(m.Roots, other.Roots) {
		there := map[pack.ID]bool{}
		for _, id := range other.Lists {
			there[id] = true
		}
		part.Lists = slices.DeleteFunc(slices.Clone(m.Lists), func(id pack.ID) bool { return there[id] })
	}
	out := map[string]seenEntry{}
	names := rootNames(m.Roots)
	err := r.pack.Entries(ctx, &part, func(e *pack.Entry) error {
		t := thingOf(names, e)
		out[t.Path] = seenEntry{t, e.ContentHash(), e.MetaHash()}
		return ctx.Err()
	})
	return out, err
}

func compare(before, after map[string]seenEntry) (out []Change) {
	for path, b := range after {
		a, there := before[path]
		switch {
		case !there:
			out = append(out, Change{Thing: b.thing, Change: Added})
		case a.thing.Kind != b.thing.Kind, !bytes.Equal(a.content[:], b.content[:]):
			out = append(out, Change{Thing: b.thing, Change: Modified, Before: a.thing.Size})
		case a.rest != b.rest:
			out = append(out, Change{Thing: b.thing, Change: Touched, Before: a.thing.Size})
		}
	}
	for path, a := range before {
		if _, there := after[path]; !there {
			out = append(out, Change{Thing: a.thing, Change: Removed, Before: a.thing.Size})
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	return out
}
