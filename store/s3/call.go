package s3

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"strongroom/store"
)

// call is what the transport tells of one call of the store.
type call struct {
	puts  atomic.Int64 // PUT requests that went out: the library repeats some
	after atomic.Int64 // nanoseconds, as the storage's last Retry-After said
}

type callKey struct{}

func withCall(ctx context.Context) (context.Context, *call) {
	c := &call{}
	return context.WithValue(ctx, callKey{}, c), c
}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// asked is how long the storage wants to be left alone.
func (c *call) asked() time.Duration {
	if c == nil {
		return 0
	}
	return min(time.Duration(c.after.Load()), retryAfterMax)
}

// watcher is the transport of a store: it counts, and lets limits and stalls
// be seen while bytes move.
type watcher struct{ inner http.RoundTripper }

func (w watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	c := callOf(ctx)
	if c != nil && r.Method == http.MethodPut {
		c.puts.Add(1)
	}
	if r.Body != nil && r.Body != http.NoBody {
		clone := *r
		clone.Body = body{store.Upload(ctx, r.Body), r.Body}
		r = &clone
	}
	answer, err := w.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 && c != nil {
		c.after.Store(int64(time.Duration(min(seconds, 3600)) * time.Second))
	}
	answer.Body = body{store.Download(ctx, answer.Body), answer.Body}
	return answer, nil
}

type body struct {
	io.Reader
	io.Closer
}
