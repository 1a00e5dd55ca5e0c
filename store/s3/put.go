package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"strongroom/store"
)

const (
	// markHeader carries a PUT's own random mark: x-amz-meta-put.
	markHeader = "Put"
	// resolveTimeMax is how long Put looks for its own object after its
	// answer was lost and its caller has gone.
	resolveTimeMax = 10 * time.Second
	// probeName has a dot, so it is no object's name and is not listed.
	probeName = ".conditional-put"
)

// Put is one PUT, and a look at what stands there if its answer was lost.
// Where the storage has no conditional writes it looks before too.
//
// It is a single PUT at every size: an object has at most 64 MiB, S3 takes 5
// GiB at once, and a multipart upload that is killed leaves parts that no
// listing shows and every bill does.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := store.CheckPut(name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	conditional, err := s.conditional(ctx)
	if err != nil {
		return err
	}
	if !conditional {
		if _, err := s.Size(ctx, name); err == nil {
			return fmt.Errorf("%w: %s", store.ErrExists, name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	ctx, c := withCall(ctx)
	mark := rand.Text()
	err = s.put(ctx, s.prefix+name, mark, data, conditional)
	sent := c.puts.Load()
	switch {
	case err == nil:
		return nil
	case sent == 0:
		return s.explain(ctx, "put", name, err)
	case sent == 1 && taken(err):
		return fmt.Errorf("%w: %s", store.ErrExists, name)
	case sent == 1 && refused(err):
		return s.explain(ctx, "put", name, err)
	}
	return s.resolve(ctx, name, mark, err)
}

// put is one PUT. The library repeats a request whose answer did not come,
// and then the second may find the first one's object.
func (s *Store) put(ctx context.Context, key, mark string, data []byte, conditional bool) error {
	options := minio.PutObjectOptions{
		DisableMultipart: true,
		ContentType:      "application/octet-stream",
		UserMetadata:     map[string]string{markHeader: mark},
	}
	if conditional {
		options.SetMatchETagExcept("*")
	}
	_, err := s.core.Client.PutObject(ctx, s.bucket, key, bytes.NewReader(data), int64(len(data)), options)
	return err
}

// resolve finds out what became of a PUT. Its caller may have been cancelled:
// the look is made all the same.
//
// 1. Ours stands there: it landed.
// 2. Another's stands there: ErrExists. A conditional PUT of ours can no longer
// land; an unconditional one under way might, which is why what rests on names
// that two may want is read back (spec/repository.md).
// 3. Nothing stands there: ours may still be under way. ErrUnknown.
// 4. The storage does not answer: ErrUnknown.
func (s *Store) resolve(ctx context.Context, name, mark string, cause error) error {
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolveTimeMax)
	defer cancel()
	info, err := s.core.StatObject(look, s.bucket, s.prefix+name, minio.StatObjectOptions{})
	switch {
	case err == nil && info.UserMetadata[markHeader] == mark:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s", store.ErrExists, name)
	}
	return s.explain(ctx, "put", name, fmt.Errorf("%w: %w", store.ErrUnknown, cause))
}

// probe remembers whether the storage was seen to refuse a second PUT.
type probe struct {
	mu                 sync.Mutex
	known, conditional bool // under mu
}

// conditional tries, once a process, whether the storage honours
// If-None-Match: of two PUTs of the probe the second must be refused. The
// probe stays, so that later runs need one request only.
func (s *Store) conditional(ctx context.Context) (bool, error) {
	s.probe.mu.Lock()
	defer s.probe.mu.Unlock()
	if s.probe.known {
		return s.probe.conditional, nil
	}
	ctx, _ = withCall(ctx)
	for range 2 {
		err := s.put(ctx, s.prefix+probeName, rand.Text(), nil, true)
		switch {
		case taken(err):
			s.probe.known, s.probe.conditional = true, true
			return true, nil
		case response(err).StatusCode == http.StatusNotImplemented:
			s.probe.known = true
			return false, nil
		case err != nil:
			return false, s.explain(ctx, "put", "the probe for conditional writes", err)
		}
	}
	s.probe.known = true
	return false, nil
}
