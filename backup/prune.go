package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"strongroom/backup/pack"
)

// Defaults of a prune.
const (
	PruneGrace     = 24 * time.Hour
	PruneUnusedMax = 0.10
)

// PruneOptions say how a prune runs. StateDir is needed.
type PruneOptions struct {
	StateDir    string
	Host        string        // a label for people; the machine's name if empty
	UnusedMax   float64       // share of unneeded bytes that may stay, 0 to 1
	DownloadMax int64         // bytes to read at most to pack anew; 0: no bound
	Grace       time.Duration // between condemning and deleting
	DryRun      bool
	// Plan is told what will be done, before it is done. Its error stops the
	// prune. May be nil.
	Plan     func(PruneReport) error
	Progress func(Progress)
	Now      func() time.Time
}

// Amount is how many objects, and their bytes in the storage.
type Amount = pack.Amount

// PruneReport tells what a prune will do, or did.
type PruneReport struct {
	Kept     Amount   // packs that stay as they are
	Unneeded Amount   // packs that nothing needs
	Repacked Amount   // packs of which little is needed: read
	Copied   int64    // bytes of them that are stored anew
	Left     Amount   // packs with unneeded parts that stay so
	Unused   int64    // bytes of them that nothing needs
	Indexes  int      // index objects before
	After    int      // and after
	Waiting  Amount   // condemned before, and not yet to be deleted
	Deleted  Amount   // condemned before, and deleted now
	Rescued  int      // condemned before, and needed after all
	Orphans  int      // packs of interrupted backups that are left for them
	Others   []Work   // who else is at work: while they are, nothing is deleted
	Raced    bool     // another backup ended meanwhile; the rest is left to the next prune
	Heads    []Head   // written
	Damaged  []Damage // in packs that were to be packed anew, and stay as they are
	Sent     int64
	Elapsed  time.Duration
}

// Work is a backup, forget or prune that is being done, or was broken off.
type Work struct {
	What      string // "backup", "forget" or "prune"
	Host      string
	Device    string // hexadecimal
	Since     time.Time
	Abandoned bool // seen for days without a word, and dropped now
}

// ErrIncomplete: what the live snapshots need is not all there, so a prune
// can not tell what they do not need. Nothing was deleted.
var ErrIncomplete = pack.ErrIncomplete

// ErrAbandoned: this took days without a word, and another device took it for
// abandoned. There is no new snapshot; what was sent is used next time.
var ErrAbandoned = pack.ErrClaim

// Prune removes what no snapshot needs, in two steps: it condemns now, and a
// later prune deletes. It is safe beside anything else that is done to the
// repository, on this device or another, and may be killed anywhere.
// ErrIncomplete where a live snapshot is damaged. A pack of which not
// everything needed opens is no error: it stays, and the report names it.
func (r *Repository) Prune(ctx context.Context, opt PruneOptions) (report PruneReport, err error) {
	start := time.Now()
	if opt.Now == nil {
		opt.Now = time.Now
	}
	c, err := r.claimFor(ctx, opt.StateDir, opt.Host, pack.ClaimPrune, opt.Now())
	if err != nil {
		return report, err
	}
	sure := false
	defer func() { c.release(ctx, sure || err == nil) }()
	m := r.newMeter(opt.Progress, false)
	m.phase(PhaseScan)
	folder, err := r.openStateFolder(opt.StateDir)
	if err != nil {
		return report, err
	}
	seen := openSights(folder, opt.Now(), min(sightEvery, opt.Grace))
	p, err := r.pack.LookPrune(ctx, pack.PruneOptions{
		Claim: c.current(), Now: opt.Now(), Grace: opt.Grace, UnusedMax: opt.UnusedMax, DownloadMax: opt.DownloadMax,
		Orphan:    func(n pack.Name) bool { return seen.times(n) > sightsOrphan },
		Abandoned: func(c pack.ClaimAt) bool { return seen.times(c.Name) > sightsAbandoned },
	})
	if err != nil {
		sure = true
		return report, err
	}
	report = pruneReport(p.Report(), seen)
	if opt.Plan != nil {
		err = opt.Plan(report)
	}
	if err != nil || opt.DryRun {
		sure = true
		return report, err
	}
	if err := seen.keep(sighted(p.Report())); err != nil {
		return report, err
	}
	m.phase(PhaseFiles)
	did, err := p.Run(ctx)
	report = pruneReport(did, seen)
	report.Elapsed = time.Since(start)
	return report, err
}

// claimFor claims for what this device is about to do.
func (r *Repository) claimFor(ctx context.Context, stateDir, host string, what pack.Purpose, now time.Time) (*claim, error) {
	if stateDir == "" {
		return nil, errors.New("backup: no state folder was named")
	}
	id, err := device(stateDir)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host, _ = os.Hostname()
	}
	return r.claim(ctx, stateDir, pack.Claim{Device: id, TimeNanos: now.UnixNano(), Host: host, Purpose: what})
}

// sighted gives what a prune saw that may become nobody's.
func sighted(p pack.PruneReport) []pack.Name {
	out := append([]pack.Name(nil), p.Orphans...)
	for _, c := range p.Others {
		out = append(out, c.Name)
	}
	return out
}

func pruneReport(p pack.PruneReport, seen *sights) PruneReport {
	out := PruneReport{
		Kept: p.Kept, Unneeded: p.Unneeded, Repacked: p.Repacked, Copied: p.CopyBytes, Left: p.Left, Unused: p.Unused,
		Indexes: p.Indexes, After: p.IndexesTo, Waiting: p.Waiting, Deleted: p.Due, Rescued: p.Rescued, Orphans: len(p.Orphans), Raced: p.Raced,
	}
	for _, c := range p.Others {
		out.Others = append(out.Others, Work{What: purposeName(c.Purpose), Host: c.Host, Device: fmt.Sprintf("%x", c.Device),
			Since: time.Unix(0, c.TimeNanos), Abandoned: seen.times(c.Name) > sightsAbandoned})
	}
	for _, d := range p.Damaged {
		out.Damaged = append(out.Damaged, Damage{Object: d.Object, What: d.What})
	}
	for _, h := range p.Heads {
		out.Heads = append(out.Heads, headOf(h))
	}
	return out
}

func purposeName(p pack.Purpose) string {
	switch p {
	case pack.ClaimBackup:
		return "backup"
	case pack.ClaimForget:
		return "forget"
	case pack.ClaimPrune:
		return "prune"
	}
	return "unknown work"
}
