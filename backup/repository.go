package backup

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"

	"strongroom/backup/pack"
	"strongroom/store"
)

// Repository is an open repository. One operation at a time.
type Repository struct {
	st       store.Store
	pack     *pack.Repo
	stateKey [sha256.Size]byte // of the local state's checksum
	pagesKey [sha256.Size]byte // of the last pages in it
}

// Create makes a repository in an empty storage; ErrRepository if it is not.
func Create(ctx context.Context, st store.Store, key Key) (*Repository, error) {
	raw := [32]byte(key)
	p, err := pack.Create(ctx, st, &raw)
	if err != nil {
		return nil, err
	}
	return newRepository(st, p, key)
}

// Open opens a repository: ErrNoRepository, ErrWrongKey, or a Damage that
// names the object.
func Open(ctx context.Context, st store.Store, key Key) (*Repository, error) {
	raw := [32]byte(key)
	p, err := pack.Open(ctx, st, &raw)
	if err != nil {
		return nil, err
	}
	return newRepository(st, p, key)
}

// Purposes of keys for what stays on the device.
const (
	labelState = "strongroom/v1/backup/state"
	labelPages = "strongroom/v1/backup/pages"
)

func newRepository(st store.Store, p *pack.Repo, key Key) (*Repository, error) {
	r, id := &Repository{st: st, pack: p}, p.ID()
	for label, to := range map[string]*[sha256.Size]byte{labelState: &r.stateKey, labelPages: &r.pagesKey} {
		k, err := hkdf.Key(sha256.New, key[:], id[:], label, sha256.Size) // RFC 5869
		if err != nil {
			return nil, err
		}
		*to = [sha256.Size]byte(k)
	}
	return r, nil
}

// ID is the repository's id, random and not secret.
func (r *Repository) ID() [16]byte { return r.pack.ID() }
