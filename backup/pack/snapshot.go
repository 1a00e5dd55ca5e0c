package pack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
)

// Snapshots gives every live snapshot of every device, oldest first. Where a
// head is damaged or none is left, snapshots whose manifests are in the storage
// and that no head names are given too: a damaged head costs nothing, it may
// only bring back a snapshot that was forgotten and not yet pruned, or show
// one whose backup was interrupted just before its head.
func (r *Repo) Snapshots(ctx context.Context) ([]SnapshotRef, []*Damage, error) {
	heads, damage, err := r.Heads(ctx)
	if err != nil {
		return nil, nil, err
	}
	return r.SnapshotsOf(ctx, heads, damage)
}

// SnapshotsOf is Snapshots for who has read the heads already.
func (r *Repo) SnapshotsOf(ctx context.Context, heads []*HeadAt, damage []*Damage) ([]SnapshotRef, []*Damage, error) {
	out := liveSnapshots(heads)
	if len(damage) > 0 || len(heads) == 0 {
		found, more, err := r.foundSnapshots(ctx)
		if err != nil {
			return nil, nil, err
		}
		damage = append(damage, more...)
		for _, ref := range found {
			if !slices.ContainsFunc(out, func(s SnapshotRef) bool { return s.Manifest == ref.Manifest }) {
				out = append(out, ref)
			}
		}
	}
	slices.SortFunc(out, func(a, b SnapshotRef) int {
		return cmp.Or(cmp.Compare(a.TimeNanos, b.TimeNanos), slices.Compare(a.Manifest[:], b.Manifest[:]))
	})
	return out, damage, nil
}

// foundSnapshots reads every manifest in the storage; of each name one copy
// is enough.
func (r *Repo) foundSnapshots(ctx context.Context) (out []SnapshotRef, damage []*Damage, err error) {
	seen := map[Name]bool{}
	for info, err := range r.st.List(ctx, prefixManifest) {
		if err != nil {
			return nil, nil, err
		}
		n, ok := parseManifestName(info.Name)
		if !ok || seen[n] {
			continue
		}
		ref, err := r.foundSnapshot(ctx, n, info.Name)
		if d := (*Damage)(nil); errors.As(err, &d) {
			damage = append(damage, d)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		seen[n] = true
		out = append(out, ref)
	}
	return out, damage, nil
}

func parseManifestName(object string) (Name, bool) {
	if strings.HasSuffix(object, copyA) {
		return parseName(object, prefixManifest, copyA)
	}
	return parseName(object, prefixManifest, copyB)
}

func (r *Repo) foundSnapshot(ctx context.Context, n Name, object string) (SnapshotRef, error) {
	body, _, err := r.getObject(ctx, object)
	if err != nil {
		return SnapshotRef{}, err
	}
	m, err := parseManifest(body)
	if err != nil {
		return SnapshotRef{}, damaged(object, "", err)
	}
	return SnapshotRef{Snapshot: m.Snapshot, Manifest: n, Hash: sha256.Sum256(body), TimeNanos: m.TimeNanos}, nil
}
