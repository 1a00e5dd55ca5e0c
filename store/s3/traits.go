package s3

import (
	"context"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

// Traits tries whether writes are conditional, and asks for versions and
// object lock; a bucket that does not let us ask is taken to have neither.
func (s *Store) Traits(ctx context.Context) (store.Traits, error) {
	conditional, err := s.conditional(ctx)
	if err != nil {
		return store.Traits{}, err
	}
	t := store.Traits{Conditional: conditional}
	if v, err := s.core.GetBucketVersioning(ctx, s.bucket); err == nil {
		t.Versions = v.Status != "" // Suspended keeps those there are
	}
	if lock, _, _, _, err := s.core.GetObjectLockConfig(ctx, s.bucket); err == nil {
		t.Locked = lock == "Enabled"
	}
	return t, nil
}

// Sweep removes the probe.
func (s *Store) Sweep(ctx context.Context) error {
	s.probe.mu.Lock()
	defer s.probe.mu.Unlock()
	s.probe.known = false
	err := s.core.RemoveObject(ctx, s.bucket, s.prefix+probeName, minio.RemoveObjectOptions{})
	if err != nil && !missing(err) {
		return s.explain(ctx, "delete", "the probe for conditional writes", err)
	}
	return nil
}
