package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/backup/pack"
)

// ForgetOptions say which snapshots to forget: those that Snapshots names, and
// those that Rules, if there are any, do not keep. StateDir is needed.
type ForgetOptions struct {
	StateDir  string
	Host      string // a label for people; the machine's name if empty
	Snapshots []string
	Rules     KeepRules
	Device    string // a host, or a device's id or its beginning: only its snapshots
	Path      string // only snapshots that took this path
	Lost      bool   // what Snapshots names may be lost: see ErrLost
	DryRun    bool
	Now       func() time.Time
}

// ForgetReport tells what a forget did, or would do.
type ForgetReport struct {
	Verdicts []Verdict // by device and paths, each group oldest first
	Heads    []Head    // written
}

// Forgotten counts the snapshots that do not stay.
func (f ForgetReport) Forgotten() (n int) {
	for _, v := range f.Verdicts {
		if !v.Keep {
			n++
		}
	}
	return n
}

// ErrNoRules: a forget that was told neither what to keep nor what to drop.
var ErrNoRules = errors.New("backup: no rule says what to keep")

// ErrLost: a snapshot that is named to be forgotten has no manifest any more
// that can be read. Where that may come back (another copy of the storage, a
// trash bin), it is worth more than the room it takes: Lost says that it may go.
var ErrLost = errors.New("backup: what this snapshot held can not be read")

const (
	whyNewest = "newest of its device"
	whyLost   = "named; its list is lost"
)

// Forget drops snapshots from what is live. The newest snapshot of a device
// goes only if it is named itself. What they held is removed by Prune. A
// damaged head or manifest stops it (ErrDamaged): nothing is forgotten on a
// view with holes, unless snapshots are named.
func (r *Repository) Forget(ctx context.Context, opt ForgetOptions) (report ForgetReport, err error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if len(opt.Snapshots) == 0 && opt.Rules.Empty() {
		return report, ErrNoRules
	}
	c, err := r.claimFor(ctx, opt.StateDir, opt.Host, pack.ClaimForget, opt.Now())
	if err != nil {
		return report, err
	}
	sure := true
	defer func() { c.release(ctx, sure) }()
	live, err := r.liveOf(ctx, len(opt.Snapshots) > 0)
	if err != nil {
		return report, err
	}
	if report.Verdicts, err = opt.judge(live); err != nil || opt.DryRun {
		return report, err
	}
	drop := map[pack.SnapshotRef]bool{}
	for _, v := range report.Verdicts {
		for ref, id := range live.ids {
			if !v.Keep && id == v.ID {
				drop[ref] = true
			}
		}
	}
	if err := c.stands(ctx); err != nil {
		return report, err
	}
	heads, err := r.pack.Forget(ctx, drop, opt.Now())
	sure = err == nil
	for _, h := range heads {
		report.Heads = append(report.Heads, headOf(h))
	}
	return report, err
}

// liveSet is what the heads say is live.
type liveSet struct {
	all    []snapshot // in the order in which they were made, by device
	infos  []SnapshotInfo
	lost   []SnapshotInfo // whose manifests can not be read: id, time and device are known
	ids    map[pack.SnapshotRef]string
	newest map[string]bool // ids of the newest snapshot of each device
}

// liveOf reads the snapshots that heads name, each once.
func (r *Repository) liveOf(ctx context.Context, damageIsFine bool) (*liveSet, error) {
	heads, damage, err := r.pack.Heads(ctx)
	if err != nil {
		return nil, err
	}
	l := &liveSet{ids: map[pack.SnapshotRef]string{}, newest: map[string]bool{}}
	var faults []error
	for _, d := range damage {
		faults = append(faults, d)
	}
	last := map[int]bool{} // in l.all
	for _, h := range heads {
		for _, ref := range h.Snapshots {
			m, err := r.pack.Manifest(ctx, ref)
			if len(damagesIn(err)) > 0 {
				faults, l.lost = append(faults, err), append(l.lost, lostInfo(ref, h.Device))
				l.ids[ref] = l.lost[len(l.lost)-1].ID
				continue
			}
			if err != nil {
				return nil, err
			}
			l.all = append(l.all, snapshot{ref, m})
			l.infos = append(l.infos, info(m))
		}
		if len(h.Snapshots) > 0 {
			last[len(l.all)-1] = true
		}
	}
	if len(faults) > 0 && !damageIsFine {
		return nil, errors.Join(faults...)
	}
	widenIDs(l.infos, l.all)
	for i, s := range l.all {
		l.ids[s.ref] = l.infos[i].ID
		if last[i] {
			l.newest[l.infos[i].ID] = true
		}
	}
	return l, nil
}

// judge applies names and rules.
func (o ForgetOptions) judge(l *liveSet) (out []Verdict, err error) {
	named, err := o.named(l)
	if err != nil {
		return nil, err
	}
	for _, lost := range l.lost {
		if named[lost.ID] {
			out = append(out, Verdict{SnapshotInfo: lost, Reasons: []string{whyLost}})
		}
	}
	for _, group := range groups(l.infos) {
		judged := o.Rules.apply(group)
		if o.Rules.Empty() || !o.concerns(group[0]) {
			judged = KeepRules{Last: len(group)}.apply(group)
			for i := range judged {
				judged[i].Reasons = []string{"not asked for"}
			}
		}
		for _, v := range judged {
			if !v.Keep && l.newest[v.ID] {
				v.Keep, v.Reasons = true, []string{whyNewest}
			}
			if named[v.ID] {
				v.Keep, v.Reasons = false, []string{"named"}
			}
			out = append(out, v)
		}
	}
	return out, nil
}

func (o ForgetOptions) concerns(s SnapshotInfo) bool {
	return (s.Host == o.Device || strings.HasPrefix(s.Device, strings.ToLower(o.Device))) && (o.Path == "" || slices.Contains(s.Paths, o.Path))
}

// named gives the ids that the caller named, each by a beginning that no
// other snapshot has.
func (o ForgetOptions) named(l *liveSet) (map[string]bool, error) {
	out := map[string]bool{}
	for _, name := range o.Snapshots {
		var found []string
		for ref, id := range l.ids {
			if name != "" && strings.HasPrefix(hex.EncodeToString(ref.Snapshot[:]), strings.ToLower(name)) && !slices.Contains(found, id) {
				found = append(found, id)
			}
		}
		if len(found) != 1 {
			return nil, fmt.Errorf("%w: %q names %d of %d", ErrSnapshot, name, len(found), len(l.ids))
		}
		if at := slices.IndexFunc(l.lost, func(s SnapshotInfo) bool { return s.ID == found[0] }); at >= 0 && !o.Lost {
			return nil, fmt.Errorf("%w: %s", ErrLost, lostName(l.lost[at]))
		}
		out[found[0]] = true
	}
	return out, nil
}
