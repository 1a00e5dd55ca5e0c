package pack

import (
	"context"
	"errors"
	"fmt"
)

const (
	condemnedVersion = 1
	prefixCondemned  = "d/"
)

// Condemned is what a prune found that nothing needs. A new snapshot is made
// to need none of these packs, and a later prune deletes what still nothing
// needs.
type Condemned struct {
	Version   uint8  `cbor:"1,keyasint"`
	TimeNanos int64  `cbor:"2,keyasint"`
	Packs     []Name `cbor:"3,keyasint"`
	Indexes   []Name `cbor:"4,keyasint"`
	Manifests []Name `cbor:"5,keyasint"` // both copies
}

func (c *Condemned) empty() bool { return len(c.Packs)+len(c.Indexes)+len(c.Manifests) == 0 }

// condemnedAt is a condemned object in the storage. One that does not open
// condemns nothing: no backup heeds it, so no prune deletes by it.
type condemnedAt struct {
	Condemned
	name Name
}

func (r *Repo) putCondemned(ctx context.Context, c Condemned) (condemnedAt, error) {
	c.Version = condemnedVersion
	n := newName()
	_, err := r.putObject(ctx, n.under(prefixCondemned), encode(c))
	return condemnedAt{c, n}, err
}

// condemnedTries bounds how often condemned objects are listed anew because a
// prune replaced some meanwhile: each time it got on with its work.
const condemnedTries = 64

// errCondemned: nothing is wrong but the moment.
var errCondemned = errors.New("pack: a prune replaces its lists faster than they can be read; try again")

// condemned gives every condemned object, and names those that do not open.
//
// Attack: none, a race. A prune puts a shorter list, then takes the old one
// away; who listed before the one and read after the other has seen neither.
// So where a listed one is gone all are listed again.
func (r *Repo) condemned(ctx context.Context) (out []condemnedAt, damage []*Damage, err error) {
	for range condemnedTries {
		gone := false
		if out, damage, gone, err = r.readCondemned(ctx); err != nil || !gone {
			return out, damage, err
		}
	}
	return nil, nil, errCondemned
}

// readCondemned tells too whether one is gone that was listed.
func (r *Repo) readCondemned(ctx context.Context) (out []condemnedAt, damage []*Damage, gone bool, err error) {
	for info, err := range r.st.List(ctx, prefixCondemned) {
		if err != nil {
			return nil, nil, false, err
		}
		n, ok := parseName(info.Name, prefixCondemned, "")
		if !ok {
			continue
		}
		body, _, err := r.getObject(ctx, info.Name)
		if missingObject(err) {
			return nil, nil, true, nil
		}
		if d := (*Damage)(nil); errors.As(err, &d) {
			damage = append(damage, d)
			continue
		}
		if err != nil {
			return nil, nil, false, err
		}
		c, err := parseCondemned(body)
		if err != nil {
			damage = append(damage, damaged(info.Name, "", err))
			continue
		}
		out = append(out, condemnedAt{*c, n})
	}
	return out, damage, false, nil
}

func parseCondemned(b []byte) (*Condemned, error) {
	c := &Condemned{}
	if err := decodeVersion(b, condemnedVersion, c); err != nil {
		return nil, fmt.Errorf("condemned: %w", err)
	}
	return c, nil
}

// doomedPacks gives the packs that condemned objects name.
func doomedPacks(all []condemnedAt) map[Name]bool {
	out := map[Name]bool{}
	for _, c := range all {
		for _, n := range c.Packs {
			out[n] = true
		}
	}
	return out
}

// LoadHeld is LoadIndex for who will write: what is condemned is still read
// but not Held, so that no new snapshot needs it. A claim must stand before.
//
// Attack: none, a race. A prune finds that nothing needs a pack; a backup
// finds a segment in it and does not send it; the prune deletes the pack.
// 1. The claim stands before this look, so a prune that looks for claims
// after the pack was condemned sees it and deletes nothing.
// 2. A claim put after that look is put after the pack was condemned, so this
// look, which comes later still, sees that too.
func (r *Repo) LoadHeld(ctx context.Context) ([]*HeadAt, []*Damage, error) {
	all, damage, err := r.condemned(ctx)
	if err != nil {
		return nil, nil, err
	}
	heads, more, err := r.loadIndex(ctx, doomedPacks(all))
	return heads, append(damage, more...), err
}
