package pack

import (
	"context"
	"time"
)

// due: nobody else writes, and the grace is over. A clock that went back, or
// that was ahead when the thing was condemned, makes it wait; one that jumps
// ahead cuts the grace, and not what makes deleting safe.
func (p *Prune) due(c condemnedAt) bool {
	age := p.opt.Now.Sub(time.Unix(0, c.TimeNanos))
	return p.alone() && age >= p.opt.Grace && age >= 0
}

// deletable: nothing needs a condemned pack, and no index object that a head
// names tells of it, so that nobody misses it.
func (p *Prune) deletable(n Name) bool { return !p.needsPack(n) && !p.told[n] }

// sweep deletes what was condemned long enough and is still not needed, and
// takes off the lists what is needed after all. While another claim stands it
// does nothing.
func (p *Prune) sweep(ctx context.Context) error {
	if !p.alone() {
		return nil
	}
	if err := p.stillClaimed(ctx); err != nil {
		return err
	}
	for _, d := range p.garbled {
		if d.cause != nil && d.cause != ErrVersion {
			if err := p.r.st.Delete(ctx, d.Object); err != nil {
				return err
			}
		}
	}
	for _, c := range p.before {
		if err := p.sweepOne(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// condemnedList is one of the lists of a condemned object.
type condemnedList struct {
	names []Name
	rest  *[]Name         // what stays condemned
	free  func(Name) bool // nothing needs it
	clear func(Name) bool // and nothing tells of it
	under func(Name) []string
}

// sweepOne works off one condemned object. A time that is still to come was
// written by a clock that was ahead: it is now.
func (p *Prune) sweepOne(ctx context.Context, c condemnedAt) error {
	rest, due := Condemned{TimeNanos: min(c.TimeNanos, p.opt.Now.UnixNano())}, p.due(c)
	for _, list := range []condemnedList{
		{c.Manifests, &rest.Manifests, func(n Name) bool { return !p.live[n] }, yes,
			func(n Name) []string {
				return []string{n.under(prefixManifest) + copyA, n.under(prefixManifest) + copyB}
			}},
		{c.Packs, &rest.Packs, func(n Name) bool { return !p.needsPack(n) }, func(n Name) bool { return !p.told[n] },
			func(n Name) []string { return []string{n.under(prefixPack)} }},
		{c.Indexes, &rest.Indexes, yes, func(n Name) bool { return !p.named[n] },
			func(n Name) []string { return []string{n.under(prefixIndex)} }},
	} {
		if err := p.sweepList(ctx, list, due); err != nil {
			return err
		}
	}
	return p.replace(ctx, c, rest)
}

func (p *Prune) sweepList(ctx context.Context, list condemnedList, due bool) error {
	for _, n := range list.names {
		switch {
		case !list.free(n):
		case due && list.clear(n):
			for _, object := range list.under(n) {
				if err := p.r.st.Delete(ctx, object); err != nil {
					return err
				}
			}
		default:
			*list.rest = append(*list.rest, n)
		}
	}
	return nil
}

func yes(Name) bool { return true }

// replace puts what is left of a condemned object in its place: the new one
// first, so that nothing that may yet be deleted is ever not condemned.
func (p *Prune) replace(ctx context.Context, c condemnedAt, rest Condemned) error {
	same := rest.TimeNanos == c.TimeNanos && len(rest.Packs) == len(c.Packs) && len(rest.Indexes) == len(c.Indexes) && len(rest.Manifests) == len(c.Manifests)
	if same {
		return nil
	}
	if !rest.empty() {
		if _, err := p.r.putCondemned(ctx, rest); err != nil {
			return err
		}
	}
	return p.r.st.Delete(ctx, c.name.under(prefixCondemned))
}
