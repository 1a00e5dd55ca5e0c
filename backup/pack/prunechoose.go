package pack

import (
	"cmp"
	"maps"
	"slices"
)

const (
	smallPackBytes = packBytesMax / 4
	smallPacksMax  = 32 // more small packs than these are packed anew together
)

// assign finds who keeps each needed segment: as many packs as its kind is
// stored in, none that is condemned where another has it. Where only
// condemned packs have it, the one of the lowest name is kept after all.
//
// Attack: two prunes at once each condemn the other's copy. Both condemned
// objects stand before anything is deleted, and whoever deletes, alone, keeps
// one copy by a rule that all share.
func (p *Prune) assign() {
	p.packs = map[*packInfo]*packUse{}
	for _, info := range p.r.packs() {
		u := &packUse{}
		for _, s := range info.table().Segments {
			u.payload += int64(s.Sealed)
		}
		p.packs[info] = u
	}
	for id, kind := range p.need {
		places := p.index.copies(id)
		slices.SortFunc(places, func(a, b place) int {
			return cmp.Or(boolOrder(a.pack.doomed, b.pack.doomed), slices.Compare(a.pack.name[:], b.pack.name[:]))
		})
		kept := 0
		for _, at := range places {
			if at.kind != kind || kept == copies(kind) || kept > 0 && at.pack.doomed {
				continue
			}
			u := p.packs[at.pack]
			if slices.Contains(u.keep, id) && kept > 0 { // twice in one pack
				continue
			}
			kept++
			u.used += int64(at.sealed)
			u.keep = append(u.keep, id)
		}
	}
}

// boolOrder puts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// choose decides what becomes of each pack.
func (p *Prune) choose() {
	var partly []*packInfo
	var used, unused int64
	var small int
	for _, info := range p.sorted() {
		u := p.packs[info]
		switch {
		case u.used == 0 && info.doomed:
			u.fate = fateGone
			continue
		case u.used == 0 && !p.told[info.name] && !p.oldOrphan(info.name):
			u.fate = fateOrphan
			continue
		case u.used == 0:
			u.fate = fateDrop
			continue
		}
		used, unused = used+u.used, unused+u.payload-u.used
		if info.size < smallPackBytes {
			small++
		}
		if u.used < u.payload || info.size < smallPackBytes {
			partly = append(partly, info)
		}
	}
	p.repack(partly, unused, int64(float64(used+unused)*p.opt.UnusedMax), small > smallPacksMax)
}

// repack chooses packs, the least needed first, until at most allowed bytes
// that nothing needs are left; and small packs, if they are many.
func (p *Prune) repack(partly []*packInfo, unused, allowed int64, joinSmall bool) {
	share := func(i *packInfo) float64 { return float64(p.packs[i].used) / float64(p.packs[i].payload) }
	slices.SortStableFunc(partly, func(a, b *packInfo) int { return cmp.Compare(share(a), share(b)) })
	var read int64
	for _, info := range partly {
		u := p.packs[info]
		little := u.used < u.payload && unused > allowed
		tiny := joinSmall && info.size < smallPackBytes
		if !little && !tiny || p.opt.DownloadMax > 0 && read+info.size > p.opt.DownloadMax {
			continue
		}
		u.fate = fateRepack
		read += info.size
		unused -= u.payload - u.used
	}
}

// sorted gives the packs in the order of their names.
func (p *Prune) sorted() []*packInfo {
	return slices.SortedFunc(maps.Keys(p.packs), func(a, b *packInfo) int { return slices.Compare(a.name[:], b.name[:]) })
}

// count fills the report.
func (p *Prune) count() {
	r := &p.report
	for info, u := range p.packs {
		switch u.fate {
		case fateKeep:
			r.Kept.add(info.size)
			if info.doomed {
				r.Rescued++
			}
			if u.used < u.payload {
				r.Left.add(info.size)
				r.Unused += u.payload - u.used
			}
		case fateDrop:
			r.Unneeded.add(info.size)
		case fateOrphan:
			r.Orphans = append(r.Orphans, info.name)
		case fateRepack:
			r.Repacked.add(info.size)
			r.CopyBytes += u.used
		}
	}
	r.Indexes = len(p.index.refs)
	keep, anew := p.indexPlan(nil)
	r.IndexesTo = len(keep) + indexParts(anew)
	p.countCondemned()
	for n := range p.index.orphans {
		if !p.index.doom[n] && !p.oldOrphan(n) {
			r.Orphans = append(r.Orphans, n)
		}
	}
}

// oldOrphan: a pack that no index names, for long, beside which nobody works.
func (p *Prune) oldOrphan(n Name) bool {
	return p.alone() && p.opt.Orphan != nil && p.opt.Orphan(n)
}

// countCondemned counts what was condemned by earlier prunes.
func (p *Prune) countCondemned() {
	sizes := p.stored()
	for _, c := range p.before {
		due := p.due(c)
		for _, n := range c.Packs {
			size, there := sizes[n]
			switch {
			case !there || p.needsPack(n):
			case due && p.deletable(n):
				p.report.Due.add(size)
			default:
				p.report.Waiting.add(size)
			}
		}
	}
}

// stored gives the size of every pack that is in the storage.
func (p *Prune) stored() map[Name]int64 {
	out := maps.Clone(p.index.orphans)
	for n, info := range p.index.packs {
		out[n] = info.size
	}
	return out
}

func (p *Prune) needsPack(n Name) bool {
	info := p.index.packs[n]
	return info != nil && p.packs[info].used > 0
}
