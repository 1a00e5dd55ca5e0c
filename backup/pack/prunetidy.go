package pack

import (
	"context"
	"errors"
	"slices"
)

// tidy packs anew, joins index objects, names them in every device's next
// head, and then condemns what no head names any more.
func (p *Prune) tidy(ctx context.Context) error {
	if len(p.heads) == 0 && !p.alone() {
		return nil
	}
	anew, err := p.copyOver(ctx)
	if err != nil {
		return err
	}
	keep, packs := p.indexPlan(anew)
	named, _, err := p.r.putIndexes(ctx, packs)
	if err != nil {
		return err
	}
	for _, n := range named {
		keep = append(keep, n.ref)
	}
	if err := p.stillClaimed(ctx); err != nil {
		return err
	}
	for _, h := range p.heads {
		if err := p.nextHead(ctx, h, keep); err != nil || p.report.Raced {
			return err
		}
	}
	return p.condemn(ctx, keep)
}

// copyOver stores anew what is needed of the packs to be packed anew. Memory
// is bounded by the reader's and the writer's own bounds.
func (p *Prune) copyOver(ctx context.Context) ([]*packInfo, error) {
	times := map[ID]int{}
	var ids []ID
	for _, info := range p.sorted() {
		u := p.packs[info]
		if u.fate != fateRepack {
			continue
		}
		for _, id := range u.keep {
			if times[id] == 0 {
				ids = append(ids, id)
			}
			times[id]++
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	w := p.r.NewWriter(ctx)
	defer w.Close()
	err := p.r.ReadAll(ctx, ids, func(id ID, plain []byte) error {
		return w.store(p.need[id], id, plain, times[id])
	})
	if err = p.spare(err); err == nil {
		err = w.finishPacks()
	}
	return w.written, err
}

// spare keeps as they are, and names, the packs of which something needed does
// not open: what is damaged in them may yet be made good, by nobody if they
// are gone. It gives back an error that is not damage.
func (p *Prune) spare(err error) error {
	var faults interface{ Unwrap() []error }
	if !errors.As(err, &faults) {
		return err
	}
	lost := map[ID]bool{}
	var damage []*Damage
	for _, fault := range faults.Unwrap() {
		d, ok := fault.(*Damage)
		if !ok {
			return err
		}
		damage = append(damage, d)
		for _, id := range d.Lost {
			lost[id] = true
		}
	}
	for info, u := range p.packs {
		if u.fate == fateRepack && slices.ContainsFunc(u.keep, func(id ID) bool { return lost[id] }) {
			u.fate = fateKeep
			p.report.Repacked.Objects--
			p.report.Repacked.Bytes -= info.size
			p.report.Kept.add(info.size)
		}
	}
	p.report.Damaged = append(p.report.Damaged, damage...)
	return nil
}

// indexPlan gives the index objects that stay, and the packs for new ones:
// between them all packs that stay, and no other.
func (p *Prune) indexPlan(anew []*packInfo) (keep []IndexRef, packs []*packInfo) {
	stays := map[Name]*packInfo{}
	for info, u := range p.packs {
		if u.fate == fateKeep {
			stays[info.name] = info
		}
	}
	var small []IndexRef
	for _, ref := range p.index.essential() {
		segments, whole := 0, true
		for _, n := range p.index.named[ref.Name] {
			whole = whole && stays[n] != nil
			if whole {
				segments += int(stays[n].count)
			}
		}
		switch {
		case !whole:
		case segments < smallIndexSegments:
			small = append(small, ref)
		default:
			keep = append(keep, ref)
		}
	}
	if len(small) <= smallIndexesKept && len(anew) == 0 {
		keep = append(keep, small...)
	}
	covered := map[Name]bool{}
	for _, ref := range keep {
		for _, n := range p.index.named[ref.Name] {
			covered[n] = true
		}
	}
	for _, info := range p.sorted() {
		if stays[info.name] != nil && !covered[info.name] {
			packs = append(packs, info)
		}
	}
	return keep, append(packs, anew...)
}

// smallIndexesKept is how many small index objects a prune leaves as they are.
const smallIndexesKept = 4

// indexParts is how many index objects putIndexes makes.
func indexParts(packs []*packInfo) (parts int) {
	for ; len(packs) > 0; parts++ {
		packs = packs[indexPart(packs):]
	}
	return parts
}

// nextHead lets a device's chain name the new index objects, and those alone.
// Where another head came first nothing more is done: it may need what this
// prune takes for unneeded, and the next prune will see it.
func (p *Prune) nextHead(ctx context.Context, h *HeadAt, indexes []IndexRef) error {
	if sameRefs(h.Indexes, indexes) {
		return nil
	}
	next := Head{Device: h.Device, Sequence: h.Sequence + 1, Parent: h.Hash, TimeNanos: p.opt.Now.UnixNano(), Snapshots: h.Snapshots, Indexes: indexes}
	at, err := p.r.PutHead(ctx, next)
	if errors.Is(err, ErrHeadTaken) {
		p.report.Raced = true
		return nil
	}
	if err != nil {
		return err
	}
	p.report.Heads = append(p.report.Heads, at)
	return p.r.DropOldHeads(ctx, at)
}

func sameRefs(a, b []IndexRef) bool {
	order := func(a, b IndexRef) int { return slices.Compare(a.Name[:], b.Name[:]) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}

// condemn lists what no head names any more. Things that nobody ever named
// may be of somebody at work: they are listed only while no other claim
// stands.
func (p *Prune) condemn(ctx context.Context, keep []IndexRef) error {
	c := Condemned{TimeNanos: p.opt.Now.UnixNano()}
	for _, info := range p.sorted() {
		if u := p.packs[info]; u.fate == fateDrop || u.fate == fateRepack && (p.alone() || !info.doomed) {
			c.Packs = append(c.Packs, info.name)
		}
	}
	stays, known := map[Name]bool{}, p.knownCondemned()
	for _, ref := range keep {
		stays[ref.Name] = true
	}
	for _, n := range p.listed.indexes {
		if !stays[n] && !known[n] && (p.named[n] || p.alone()) {
			c.Indexes = append(c.Indexes, n)
		}
	}
	for _, n := range p.listed.manifests {
		if !p.live[n] && !known[n] && p.alone() {
			c.Manifests = append(c.Manifests, n)
		}
	}
	for n := range p.index.orphans {
		if !known[n] && p.oldOrphan(n) {
			c.Packs = append(c.Packs, n)
		}
	}
	if c.empty() {
		return nil
	}
	_, err := p.r.putCondemned(ctx, c)
	return err
}

// knownCondemned gives what is condemned already. Names are random, so one
// set holds them all.
func (p *Prune) knownCondemned() map[Name]bool {
	out := map[Name]bool{}
	for _, c := range p.before {
		for _, names := range [][]Name{c.Packs, c.Indexes, c.Manifests} {
			for _, n := range names {
				out[n] = true
			}
		}
	}
	return out
}
