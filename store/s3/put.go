package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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

// ErrUnconditional: the storage does not refuse a second PUT of a name.
var ErrUnconditional = errors.New("this storage ignores conditional writes (If-None-Match): two devices could overwrite each other's backup. Nothing of the backup was written. Choose a storage that honours them (AWS S3 and versitygw do)")

// Put is one conditional PUT, and a look at what stands there if its answer
// was lost.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := store.CheckPut(name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.conditional(ctx); err != nil {
		return err
	}
	mark := rand.Text()
	sent, err := s.put(ctx, s.prefix+name, mark, data)
	switch {
	case err == nil:
		return nil
	case sent == 0:
		return s.explain("put", name, err)
	case sent == 1 && taken(err):
		return fmt.Errorf("%w: %s", store.ErrExists, name)
	case sent == 1 && refused(err):
		return s.explain("put", name, err)
	}
	return s.resolve(ctx, name, mark, err)
}

// put gives how many requests were sent: the library repeats a request whose
// answer did not come, and then the second may find the first one's object.
func (s *Store) put(ctx context.Context, key, mark string, data []byte) (sent int64, err error) {
	var count atomic.Int64
	options := minio.PutObjectOptions{
		DisableMultipart: true,
		ContentType:      "application/octet-stream",
		UserMetadata:     map[string]string{markHeader: mark},
	}
	options.SetMatchETagExcept("*")
	ctx = context.WithValue(ctx, countKey{}, &count)
	_, err = s.core.Client.PutObject(ctx, s.bucket, key, bytes.NewReader(data), int64(len(data)), options)
	return count.Load(), err
}

// resolve finds out what became of a PUT. Its caller may have been cancelled:
// the look is made all the same.
//
// 1. Ours stands there: it landed.
// 2. Another's stands there, and conditional PUTs replace nothing: ours can
// no longer land. ErrExists.
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
	return s.explain("put", name, fmt.Errorf("%w: %w", store.ErrUnknown, cause))
}

// probe remembers that the storage was seen to refuse a second PUT.
type probe struct {
	mu   sync.Mutex
	seen bool // under mu
}

// conditional proves, once a process, that the storage honours If-None-Match:
// of two PUTs of the probe the second must be refused. The probe stays, so
// that later runs need one request only.
func (s *Store) conditional(ctx context.Context) error {
	s.probe.mu.Lock()
	defer s.probe.mu.Unlock()
	if s.probe.seen {
		return nil
	}
	for range 2 {
		_, err := s.put(ctx, s.prefix+probeName, rand.Text(), nil)
		switch {
		case taken(err):
			s.probe.seen = true
			return nil
		case minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented:
			return fmt.Errorf("%s: %w", s.Location(), ErrUnconditional)
		case err != nil:
			return s.explain("put", "the probe for conditional writes", err)
		}
	}
	return fmt.Errorf("%s: %w", s.Location(), ErrUnconditional)
}

type countKey struct{}

// counter counts the requests that go out for one call.
type counter struct{ inner http.RoundTripper }

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if count, ok := r.Context().Value(countKey{}).(*atomic.Int64); ok && r.Method == http.MethodPut {
		count.Add(1)
	}
	return c.inner.RoundTrip(r)
}
