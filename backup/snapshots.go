package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"strongroom/backup/pack"
)

// idDigits is how many digits of a snapshot's id people see, unless two
// snapshots have the same.
const idDigits = 8

// snapshot is a live snapshot whose manifest could be read.
type snapshot struct {
	ref      pack.SnapshotRef
	manifest *pack.Manifest
}

// Snapshots gives the live snapshots of all devices, oldest first, and what
// is damaged: a damaged manifest costs only its own snapshot.
func (r *Repository) Snapshots(ctx context.Context) ([]SnapshotInfo, []Damage, error) {
	if _, _, err := r.pack.LoadIndex(ctx); err != nil {
		return nil, nil, err
	}
	all, damage, err := r.snapshots(ctx)
	if err != nil {
		return nil, nil, err
	}
	var out []SnapshotInfo
	for _, s := range all {
		out = append(out, info(s.manifest))
	}
	widenIDs(out, all)
	return out, damage, nil
}

// Heads gives the newest head of each device that can be read.
func (r *Repository) Heads(ctx context.Context) (out []Head, err error) {
	heads, _, err := r.pack.Heads(ctx)
	for _, h := range heads {
		out = append(out, headOf(h))
	}
	return out, err
}

func headOf(h *pack.HeadAt) Head { return Head{Device: h.Device, Sequence: h.Sequence, Hash: h.Hash} }

func (r *Repository) snapshots(ctx context.Context) (out []snapshot, damage []Damage, err error) {
	refs, found, err := r.pack.Snapshots(ctx)
	if err != nil {
		return nil, nil, err
	}
	return r.manifests(ctx, refs, found)
}

// manifests reads the manifests of refs; found is what is known as damaged.
func (r *Repository) manifests(ctx context.Context, refs []pack.SnapshotRef, found []*pack.Damage) (out []snapshot, damage []Damage, err error) {
	damage = plainDamage(found)
	for _, ref := range refs {
		m, err := r.pack.Manifest(ctx, ref)
		if ds := damagesIn(err); len(ds) > 0 {
			for _, d := range plainDamage(ds) {
				d.What += "; it held " + lostName(lostInfo(ref, pack.DeviceID{}))
				damage = append(damage, d)
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, snapshot{ref, m})
	}
	return out, damage, nil
}

func info(m *pack.Manifest) SnapshotInfo {
	return SnapshotInfo{
		ID: hex.EncodeToString(m.Snapshot[:])[:idDigits], Time: time.Unix(0, m.TimeNanos), Host: m.Host,
		Device: hex.EncodeToString(m.Device[:]), Paths: m.Roots, Entries: int(m.Entries), Bytes: int64(m.Bytes),
	}
}

// lostInfo is what a head alone says of a snapshot: it goes by its whole id.
func lostInfo(ref pack.SnapshotRef, device pack.DeviceID) SnapshotInfo {
	return SnapshotInfo{ID: hex.EncodeToString(ref.Snapshot[:]), Time: time.Unix(0, ref.TimeNanos), Device: hex.EncodeToString(device[:])}
}

// lostName names a lost snapshot to people.
func lostName(s SnapshotInfo) string {
	return fmt.Sprintf("backup %s of %s", s.ID[:idDigits], s.Time.UTC().Format(time.RFC3339))
}

// widenIDs gives whole ids to those that share their first digits.
func widenIDs(infos []SnapshotInfo, all []snapshot) {
	count := map[string]int{}
	for _, i := range infos {
		count[i.ID]++
	}
	for i := range infos {
		if count[infos[i].ID] > 1 {
			infos[i].ID = hex.EncodeToString(all[i].manifest.Snapshot[:])
		}
	}
}

// latestName is the snapshot that is the newest.
const latestName = "latest"

// latest reads only the newest manifest. If it is damaged it says so, rather
// than take an older snapshot for the latest.
func (r *Repository) latest(ctx context.Context, refs []pack.SnapshotRef) (*pack.Manifest, error) {
	if len(refs) == 0 {
		return nil, fmt.Errorf("%w: there is none yet", ErrSnapshot)
	}
	newest := refs[len(refs)-1]
	m, err := r.pack.Manifest(ctx, newest)
	if err != nil {
		return nil, fmt.Errorf("the newest snapshot, of %s, can not be read; name an older one: %w", time.Unix(0, newest.TimeNanos).UTC().Format(time.RFC3339), err)
	}
	return m, nil
}

// find gives the snapshot that a person names: "latest", an id or the
// beginning of one. heads and known damage are what LoadIndex gave: where
// nothing is damaged, no head is read again.
func (r *Repository) find(ctx context.Context, name string, heads []*pack.HeadAt, known []*pack.Damage) (*pack.Manifest, error) {
	look := r.pack.Snapshots
	if len(known) == 0 {
		look = func(ctx context.Context) ([]pack.SnapshotRef, []*pack.Damage, error) {
			return r.pack.SnapshotsOf(ctx, heads, nil)
		}
	}
	refs, faults, err := look(ctx)
	if err != nil {
		return nil, err
	}
	if name == latestName {
		return r.latest(ctx, refs)
	}
	all, damage, err := r.manifests(ctx, refs, faults)
	if err != nil {
		return nil, err
	}
	var found []*pack.Manifest
	for _, s := range all {
		if strings.HasPrefix(hex.EncodeToString(s.manifest.Snapshot[:]), strings.ToLower(name)) && name != "" {
			found = append(found, s.manifest)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	what := fmt.Errorf("%w: %q names %d of %d", ErrSnapshot, name, len(found), len(all))
	for _, d := range damage {
		what = errors.Join(what, d)
	}
	return nil, what
}

func plainDamage(in []*pack.Damage) (out []Damage) {
	for _, d := range in {
		out = append(out, Damage{Object: d.Object, What: d.What})
	}
	return out
}

// damagesIn finds every pack.Damage in joined or wrapped errors.
func damagesIn(err error) (out []*pack.Damage) {
	switch e := err.(type) {
	case nil:
	case *pack.Damage:
		out = append(out, e)
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			out = append(out, damagesIn(below)...)
		}
	case interface{ Unwrap() error }:
		out = damagesIn(e.Unwrap())
	}
	return out
}
