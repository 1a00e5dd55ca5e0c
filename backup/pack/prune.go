package pack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// PruneOptions say what a prune may do. Claim is needed: the caller's own
// claim, put before.
type PruneOptions struct {
	Claim Name
	Now   time.Time
	// Grace is how long a thing must have been condemned before it is
	// deleted. Safety does not hang on it, nor on any clock: it is for readers
	// who loaded the index before, and for storages that list late.
	Grace time.Duration
	// UnusedMax is the share of the stored segments that nothing needs and
	// that may stay, 0 to 1.
	UnusedMax float64
	// DownloadMax bounds what is read to pack anew, in bytes; 0 is no bound.
	DownloadMax int64
	// Orphan tells whether a pack that no index names has been so for long: an
	// interrupted backup goes on with such packs. nil: none has.
	Orphan func(Name) bool
	// Abandoned tells whether a claim belongs to nobody any more. nil: none.
	Abandoned func(ClaimAt) bool
}

// Amount is how many objects and how many bytes in the storage.
type Amount struct {
	Objects int
	Bytes   int64
}

func (a *Amount) add(bytes int64) {
	a.Objects++
	a.Bytes += bytes
}

// PruneReport tells what a prune will do, or did.
type PruneReport struct {
	Kept      Amount // packs that stay
	Unneeded  Amount // packs that nothing needs: condemned
	Repacked  Amount // packs that little needs: read, the rest stored anew, condemned
	CopyBytes int64  // of Repacked: what is stored anew
	Left      Amount // packs with unneeded parts that stay so, by UnusedMax or DownloadMax
	Unused    int64  // bytes in them that nothing needs
	Indexes   int    // index objects that there were
	IndexesTo int    // and that there will be
	Waiting   Amount // packs condemned before, whose time has not come
	Due       Amount // packs condemned before, to be deleted now
	Rescued   int    // packs condemned before that a snapshot needs after all
	Others    []ClaimAt
	Raced     bool // another wrote a head meanwhile: what was to be condemned is left to the next prune
	Heads     []*HeadAt
	Damaged   []*Damage // in packs that were to be packed anew and stay as they are
	Orphans   []Name    // packs that no index names, so far left alone
}

// Prune is a prune that has looked and not yet acted.
type Prune struct {
	r      *Repo
	opt    PruneOptions
	report PruneReport

	before  []condemnedAt // condemned by earlier prunes
	garbled []*Damage     // condemned objects that do not open
	heads   []*HeadAt
	need    map[ID]Kind
	index   *index
	packs   map[*packInfo]*packUse
	listed  listing
	told    map[Name]bool // packs that an index object of a head tells of
	named   map[Name]bool // index objects that a head names
	live    map[Name]bool // manifests of live snapshots
}

// packUse is what is needed of one pack.
type packUse struct {
	payload int64 // sealed bytes of its segments
	used    int64 // of those that are needed, and not kept elsewhere
	keep    []ID
	fate    fate
}

// fate is what becomes of a pack.
type fate uint8

const (
	fateKeep fate = iota
	fateDrop
	fateRepack
	fateGone   // condemned before, and still unneeded
	fateOrphan // no index names it, nothing needs it, and a backup may go on with it
)

// listing is what the storage held, when the prune looked, of things that no
// head may name.
type listing struct {
	indexes, manifests []Name
}

// LookPrune finds out what a prune would do. ErrIncomplete where what the
// live snapshots need can not be told.
//
// The order is the safety. 1. The caller's claim stands. 2. What is condemned
// is read. 3. Other claims are looked for; where none stands, whoever comes
// later heeds all of 2. 4. Only then are heads and needs read: they hold the
// work of all who came before.
func (r *Repo) LookPrune(ctx context.Context, opt PruneOptions) (*Prune, error) {
	p := &Prune{r: r, opt: opt}
	var err error
	if p.before, p.garbled, err = r.condemned(ctx); err != nil {
		return nil, err
	}
	if err := p.lookClaims(ctx); err != nil {
		return nil, err
	}
	var damage []*Damage
	if p.heads, damage, err = r.loadIndex(ctx, doomedPacks(p.before)); err != nil {
		return nil, err
	}
	for _, d := range damage {
		if strings.HasPrefix(d.Object, prefixHead) {
			return nil, fmt.Errorf("%w: %w", ErrIncomplete, d)
		}
	}
	if p.need, err = r.wholeNeeds(ctx, p.heads); err != nil {
		return nil, err
	}
	if err := p.lookLists(ctx); err != nil {
		return nil, err
	}
	r.mu.RLock()
	p.index = r.index
	r.mu.RUnlock()
	p.note()
	p.assign()
	p.choose()
	p.count()
	return p, nil
}

// Report tells what is to be done, and after Run what was.
func (p *Prune) Report() PruneReport { return p.report }

// alone: no other claim stood, so what was condemned before may be deleted.
func (p *Prune) alone() bool { return len(p.report.Others) == 0 }

func (p *Prune) lookClaims(ctx context.Context) error {
	claims, err := p.r.Claims(ctx)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if c.Name != p.opt.Claim {
			p.report.Others = append(p.report.Others, c)
		}
	}
	return nil
}

// note notes what the heads say.
func (p *Prune) note() {
	p.told, p.named, p.live = map[Name]bool{}, map[Name]bool{}, map[Name]bool{}
	for _, packs := range p.index.named {
		for _, n := range packs {
			p.told[n] = true
		}
	}
	for _, h := range p.heads {
		for _, ref := range h.Indexes {
			p.named[ref.Name] = true
		}
		for _, ref := range h.Snapshots {
			p.live[ref.Manifest] = true
		}
	}
}

func (p *Prune) lookLists(ctx context.Context) error {
	for _, list := range []struct {
		prefix string
		parse  func(string) (Name, bool)
		to     *[]Name
	}{
		{prefixIndex, func(s string) (Name, bool) { return parseName(s, prefixIndex, "") }, &p.listed.indexes},
		{prefixManifest, parseManifestName, &p.listed.manifests},
	} {
		seen := map[Name]bool{}
		for info, err := range p.r.st.List(ctx, list.prefix) {
			if err != nil {
				return err
			}
			if n, ok := list.parse(info.Name); ok && !seen[n] {
				seen[n] = true
				*list.to = append(*list.to, n)
			}
		}
	}
	return nil
}

// Run does what Report tells. Killed anywhere, it leaves a whole repository,
// and the next prune goes on.
func (p *Prune) Run(ctx context.Context) (PruneReport, error) {
	for _, step := range []func(context.Context) error{p.sweep, p.tidy, p.dropAbandoned} {
		if err := step(ctx); err != nil {
			return p.report, err
		}
	}
	return p.report, nil
}

// dropAbandoned takes away claims that belong to nobody. They stood against
// this prune all the same; the next one may delete.
func (p *Prune) dropAbandoned(ctx context.Context) error {
	for _, c := range p.report.Others {
		if p.opt.Abandoned == nil || !p.opt.Abandoned(c) {
			continue
		}
		if err := p.r.DropClaim(ctx, c.Name); err != nil {
			return err
		}
	}
	return nil
}

// ErrClaim: the claim of what is being done was taken away: by a prune that
// took it for abandoned, after days without a word. Nothing was changed since.
var ErrClaim = errors.New("pack: this took so long without a word that another device took it for abandoned")

func (p *Prune) stillClaimed(ctx context.Context) error {
	stands, err := p.r.ClaimStands(ctx, p.opt.Claim)
	if err == nil && !stands {
		err = ErrClaim
	}
	return err
}
