package backup

import (
	"context"
	"errors"
	"slices"

	"strongroom/backup/pack"
)

// CheckOptions say how thorough a check is.
type CheckOptions struct {
	ReadData bool // read every pack whole, not the lists and sizes alone
	// Part of Parts: read those packs alone that belong to this part, 1 to
	// Parts. Whoever checks each part once has read them all. 0 of 0 is all.
	Part, Parts int
	Progress    func(Progress)
}

// CheckReport tells what a check found.
type CheckReport struct {
	Objects int
	Bytes   int64 // in the storage
	Damages []Damage
}

// Check looks for damage and names every object at fault, with the files of
// every live snapshot that it costs. Damage is in the report, not an error.
func (r *Repository) Check(ctx context.Context, opt CheckOptions) (report CheckReport, err error) {
	m := r.newMeter(opt.Progress, false)
	m.phase(PhaseCheck)
	for o, err := range r.st.List(ctx, "") {
		if err != nil {
			return report, err
		}
		report.Objects++
		report.Bytes += o.Size
	}
	var found []*pack.Damage
	for range checkTries {
		before, _, err := r.pack.Heads(ctx)
		if err != nil {
			return report, err
		}
		if found, err = r.lookForDamage(ctx, opt, m); err != nil {
			return report, err
		}
		if len(found) == 0 {
			break
		}
		if after, _, err := r.pack.Heads(ctx); err != nil || pack.SameHeads(before, after) {
			break // no prune took away meanwhile what the heads named
		}
	}
	report.Damages, err = r.nameFiles(ctx, found)
	m.phase(PhaseFinish)
	return report, err
}

// checkTries bounds how often a check looks again because the repository
// changed under it.
const checkTries = 3

func (r *Repository) lookForDamage(ctx context.Context, opt CheckOptions, m *meter) ([]*pack.Damage, error) {
	if !opt.ReadData {
		return r.pack.CheckStructure(ctx)
	}
	return r.pack.CheckPart(ctx, opt.Part, opt.Parts, func(packs int, bytes, all int64) {
		m.update(false, func(p *Progress) { p.FilesDone, p.BytesDone, p.BytesTotal = packs, bytes, all })
	})
}

// nameFiles adds to each damage the files that it costs.
func (r *Repository) nameFiles(ctx context.Context, found []*pack.Damage) ([]Damage, error) {
	out := plainDamage(found)
	lost := map[pack.ID][]int{} // which damages
	for i, d := range found {
		for _, id := range d.Lost {
			lost[id] = append(lost[id], i)
		}
	}
	if len(lost) == 0 {
		return out, nil
	}
	all, _, err := r.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		names := rootNames(s.manifest.Roots)
		err := r.pack.Entries(ctx, s.manifest, func(e *pack.Entry) error {
			for _, i := range r.costsOf(ctx, e, lost) {
				out[i].Files = append(out[i].Files, entryName(names, e))
			}
			return ctx.Err()
		})
		if err != nil && !lasting(err) {
			return nil, err
		}
	}
	for i := range out {
		slices.Sort(out[i].Files)
		out[i].Files = slices.Compact(out[i].Files) // of several snapshots
	}
	return out, nil
}

// lasting tells damage from a storage that can not be reached.
func lasting(err error) bool {
	return errors.Is(err, pack.ErrDamaged) || errors.Is(err, pack.ErrUnknownSegment) ||
		errors.Is(err, pack.ErrMalformed) || errors.Is(err, pack.ErrUnknownKind)
}

func entryName(names []string, e *pack.Entry) string {
	if int(e.Root) >= len(names) {
		return e.Path
	}
	if e.Path == "" {
		return names[e.Root]
	}
	return names[e.Root] + "/" + e.Path
}

// costsOf gives which damages an entry suffers from.
func (r *Repository) costsOf(ctx context.Context, e *pack.Entry, lost map[pack.ID][]int) (out []int) {
	note := func(ids []pack.ID) {
		for _, id := range ids {
			for _, i := range lost[id] {
				if !slices.Contains(out, i) {
					out = append(out, i)
				}
			}
		}
	}
	refs := func(refs pack.Refs) {
		note(refs.Lists)
		ids, _ := r.pack.IDs(ctx, refs) // what can not be read is itself lost, and noted
		note(ids)
	}
	if e.Content != nil {
		refs(*e.Content)
	}
	if e.Database != nil {
		for _, l := range e.Database.Layers {
			refs(l.Runs)
			refs(l.Groups)
			refs(l.Hashes)
		}
	}
	return out
}
