package backup

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// A restore goes through the snapshot's lists in batches: once to look at what
// is in the target, since nothing is written before all of it was looked at,
// once to write, and once more to verify. What it holds is one batch, and of
// each goal that came by a fact.

// Limits of a batch. A batch reads each pack that it needs once, so the fewer
// the better.
const (
	batchGoalsMax = 32 << 10
	batchPartsMax = 128 << 10 // segments of files
)

// fact is what is known of a goal between two looks at it.
type fact struct {
	name  uint32 // of its name
	flags uint8
}

const (
	factKept = 1 << iota
	factLost
	factPart // an interrupted restore left something of it
)

// errChanged: the lists read otherwise the second time.
var errChanged = errors.New("backup: the snapshot's lists changed while it was restored; what was written is whole. Restore again")

// batches gives all goals of the snapshot, in order, each time anew; those of
// a restore of one batch stay as they are.
func (j *restore) batches(ctx context.Context, do func() error) error {
	if j.single {
		return do()
	}
	fresh := !j.planned
	c, err := newChoice(j.opt.Include, j.manifest.Roots, j.names)
	if err != nil {
		return err
	}
	j.goals, j.number, j.origins = nil, 0, map[uint64]*origin{}
	parts, full := int64(0), false
	flush := func() error {
		if err := j.recall(ctx, fresh); err != nil {
			return err
		}
		err := do()
		j.note()
		return err
	}
	var stop error
	fault := j.r.pack.Entries(ctx, j.manifest, func(e *pack.Entry) error {
		if full {
			if stop = flush(); stop != nil {
				return stop
			}
			j.goals, parts, full = nil, 0, false
		}
		g := &goal{entry: e}
		var name string
		if name, g.name, stop = j.place(e, fresh); stop != nil {
			return stop
		}
		taken := c.take(g, name)
		j.goals = append(j.goals, taken...)
		if len(taken) > 0 {
			parts += e.Size / chunk.FileBytes
		}
		full = len(j.goals) >= j.goalsMax || parts >= batchPartsMax
		j.meter.step(g.name)
		return ctx.Err()
	})
	if stop != nil || ctx.Err() != nil {
		return errors.Join(stop, ctx.Err())
	}
	switch {
	case fault != nil && fresh:
		if err := j.damaged(fault, "a list of files"); err != nil {
			return err
		}
		j.listLost = true
	case fault != nil && !j.listLost:
		return fmt.Errorf("%w: %w", errChanged, fault)
	}
	j.single = fresh && j.number == 0
	err = flush()
	if err == nil && j.number != len(j.facts) {
		err = errChanged
	}
	return err
}

// recall makes the goals of a batch what they were when they were given
// before, and finds their content and which of them are one file.
func (j *restore) recall(ctx context.Context, fresh bool) error {
	for i, g := range j.goals {
		var f fact
		if !fresh {
			if j.number+i >= len(j.facts) || j.facts[j.number+i].name != nameSum(g.name) {
				return errChanged
			}
			f = j.facts[j.number+i]
		}
		g.kept, g.lost, g.hasPart = f.flags&factKept != 0, f.flags&factLost != 0, f.flags&factPart != 0
		if g.lost {
			continue
		}
		if err := j.content(ctx, g); err != nil {
			return err
		}
		j.meter.step(g.name)
	}
	j.findLinks()
	return nil
}

// note keeps the facts of a batch.
func (j *restore) note() {
	for i, g := range j.goals {
		f := fact{name: nameSum(g.name), flags: flagsOf(g)}
		if j.number+i < len(j.facts) {
			j.facts[j.number+i] = f
		} else {
			j.facts = append(j.facts, f)
		}
	}
	j.number += len(j.goals)
}

func flagsOf(g *goal) (flags uint8) {
	if g.kept {
		flags |= factKept
	}
	if g.lost {
		flags |= factLost
	}
	if g.hasPart {
		flags |= factPart
	}
	return flags
}

func nameSum(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()
}
