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

const labelState = "strongroom/v1/backup/state"

func newRepository(st store.Store, p *pack.Repo, key Key) (*Repository, error) {
	id := p.ID()
	k, err := hkdf.Key(sha256.New, key[:], id[:], labelState, sha256.Size) // RFC 5869
	if err != nil {
		return nil, err
	}
	return &Repository{st: st, pack: p, stateKey: [sha256.Size]byte(k)}, nil
}

// ID is the repository's id, random and not secret.
func (r *Repository) ID() [16]byte { return r.pack.ID() }
