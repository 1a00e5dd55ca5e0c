package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

const manifestVersion = 1

// SnapshotID and DeviceID are 16 random bytes each.
type (
	SnapshotID [16]byte
	DeviceID   [16]byte
)

// Manifest is the top of one snapshot. It is stored twice, under its name
// and -a and -b.
type Manifest struct {
	Version   uint8      `cbor:"1,keyasint"`
	Snapshot  SnapshotID `cbor:"2,keyasint"`
	TimeNanos int64      `cbor:"3,keyasint"` // Unix time, nanoseconds
	Host      string     `cbor:"4,keyasint"` // a label for people
	Device    DeviceID   `cbor:"5,keyasint"`
	Roots     []string   `cbor:"6,keyasint"` // what was asked to be backed up, as the device calls it
	Lists     []ID       `cbor:"7,keyasint"` // list segments; their entries in this order are sorted by (root, path)
	Entries   uint64     `cbor:"8,keyasint"` // in the lists
	Bytes     uint64     `cbor:"9,keyasint"` // sizes of files and databases together
}

// SnapshotRef is what a head tells of a live snapshot.
type SnapshotRef struct {
	_         struct{} `cbor:",toarray"`
	Snapshot  SnapshotID
	Manifest  Name
	Hash      [sha256.Size]byte // SHA-256 of the manifest's plaintext encoding
	TimeNanos int64
}

// PutManifest stores a manifest and gives what the head must say of it.
func (r *Repo) PutManifest(ctx context.Context, m *Manifest) (SnapshotRef, error) {
	m.Version = manifestVersion
	body := encode(m)
	n := newName()
	for _, suffix := range []string{copyA, copyB} {
		if _, err := r.putTop(ctx, n.under(prefixManifest)+suffix, body); err != nil {
			return SnapshotRef{}, err
		}
	}
	return SnapshotRef{Snapshot: m.Snapshot, Manifest: n, Hash: sha256.Sum256(body), TimeNanos: m.TimeNanos}, nil
}

// Manifest gives a snapshot's manifest from the first copy that serves, or
// the Damage of both.
func (r *Repo) Manifest(ctx context.Context, ref SnapshotRef) (*Manifest, error) {
	var damage []error
	for _, suffix := range []string{copyA, copyB} {
		m, err := r.readManifest(ctx, ref, ref.Manifest.under(prefixManifest)+suffix)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		damage = append(damage, err)
	}
	return nil, errors.Join(damage...)
}

// manifestCopies reads both copies: the manifest if one serves, and the
// damage of the other.
func (r *Repo) manifestCopies(ctx context.Context, ref SnapshotRef) (m *Manifest, damage []*Damage, err error) {
	for _, suffix := range []string{copyA, copyB} {
		got, err := r.readManifest(ctx, ref, ref.Manifest.under(prefixManifest)+suffix)
		if d := (*Damage)(nil); errors.As(err, &d) {
			damage = append(damage, d)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if m == nil {
			m = got
		}
	}
	return m, damage, nil
}

func (r *Repo) readManifest(ctx context.Context, ref SnapshotRef, name string) (*Manifest, error) {
	body, _, err := r.getObject(ctx, name)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(body) != ref.Hash {
		return nil, &Damage{Object: name, What: "is not the manifest that the head names"}
	}
	m, err := parseManifest(body)
	if err != nil {
		return nil, damaged(name, "", err)
	}
	return m, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := decodeVersion(b, manifestVersion, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}
