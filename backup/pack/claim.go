package pack

import (
	"context"
	"errors"
	"fmt"

	"strongroom/store"
)

// A claim stands in the storage while something writes: a backup, a forget, a
// prune. Who writes puts it before his first look at heads, index and
// condemned objects, and takes it away after his last write. While another's
// claim stands, nothing is deleted: spec/repository.md, "Removing".

const (
	claimVersion = 1
	prefixClaim  = "c/"
)

// Purpose is what a claim is for.
type Purpose uint8

// Purposes of claims.
const (
	ClaimBackup Purpose = 1
	ClaimForget Purpose = 2
	ClaimPrune  Purpose = 3
)

// Claim is the body of a claim.
type Claim struct {
	Version   uint8    `cbor:"1,keyasint"`
	Device    DeviceID `cbor:"2,keyasint"`
	TimeNanos int64    `cbor:"3,keyasint"` // for people: nothing is decided by it
	Host      string   `cbor:"4,keyasint"` // a label for people
	Purpose   Purpose  `cbor:"5,keyasint"`
}

// ClaimAt is a claim in the storage. One that does not open has a zero Claim,
// and stands all the same.
type ClaimAt struct {
	Claim
	Name Name
}

// NewClaimName draws the name of a claim, so that it can be remembered before
// it is put.
func NewClaimName() Name { return newName() }

// PutClaim puts a claim under a name of NewClaimName.
func (r *Repo) PutClaim(ctx context.Context, n Name, c Claim) error {
	c.Version = claimVersion
	_, err := r.putObject(ctx, n.under(prefixClaim), encode(c))
	return err
}

// DropClaim takes a claim away; one that is gone is no error.
func (r *Repo) DropClaim(ctx context.Context, n Name) error {
	return r.st.Delete(ctx, n.under(prefixClaim))
}

// ClaimStands tells whether a claim is still there: one that nobody renewed
// for days is taken for abandoned.
func (r *Repo) ClaimStands(ctx context.Context, n Name) (bool, error) {
	_, err := r.st.Size(ctx, n.under(prefixClaim))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Claims gives every claim that stood at some time while it looked; a claim
// that went meanwhile is among them, as one that does not open.
//
// Attack: none, a race. A backup renews its claim (puts a new one, then takes
// the old away) in the middle of a listing that is not of one moment, and shows
// in it with neither; or between the listing and the reading of what it listed.
// So there are two listings, and what either shows stands: who renews in the
// one is in the other.
func (r *Repo) Claims(ctx context.Context) (out []ClaimAt, err error) {
	seen := map[Name]bool{}
	for range 2 {
		for info, err := range r.st.List(ctx, prefixClaim) {
			if err != nil {
				return nil, err
			}
			if n, ok := parseName(info.Name, prefixClaim, ""); ok && !seen[n] {
				seen[n] = true
				out = append(out, ClaimAt{Name: n})
			}
		}
	}
	for i := range out {
		body, _, err := r.getObject(ctx, out[i].Name.under(prefixClaim))
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		if parsed, err := parseClaim(body); err == nil {
			out[i].Claim = *parsed
		}
	}
	return out, nil
}

func parseClaim(b []byte) (*Claim, error) {
	c := &Claim{}
	if err := decodeVersion(b, claimVersion, c); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return c, nil
}

// missingObject tells an object that is not there from one that is damaged.
func missingObject(err error) bool {
	return errors.Is(err, ErrDamaged) && errors.Is(err, store.ErrNotFound)
}
