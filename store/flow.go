package store

import (
	"context"
	"io"
)

// flow is what watches the bytes of one call on their way. Each wrapper that
// wants to know of them puts its own into the call's context.
type flow struct {
	upload, download func(ctx context.Context, n int) error // after n bytes; may wait
	next             *flow                                  // of the wrapper further out
}

type flowKey struct{}

func withFlow(ctx context.Context, f flow) context.Context {
	f.next, _ = ctx.Value(flowKey{}).(*flow)
	return context.WithValue(ctx, flowKey{}, &f)
}

// pieceBytesMax is what moves between two looks at a limit.
const pieceBytesMax = 16 << 10

// Upload gives the reader that a provider sends from: limits hold and stalls
// are seen while bytes move, not only object by object. A provider that does
// not use it is still held to the limits, in steps of whole objects.
func Upload(ctx context.Context, r io.Reader) io.Reader {
	f, _ := ctx.Value(flowKey{}).(*flow)
	if f == nil {
		return r
	}
	return &watched{ctx: ctx, r: r, tell: f.up}
}

// Download is Upload for what a provider receives.
func Download(ctx context.Context, r io.Reader) io.Reader {
	f, _ := ctx.Value(flowKey{}).(*flow)
	if f == nil {
		return r
	}
	return &watched{ctx: ctx, r: r, tell: f.down}
}

func (f *flow) up(ctx context.Context, n int) error {
	for ; f != nil; f = f.next {
		if err := f.upload(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (f *flow) down(ctx context.Context, n int) error {
	for ; f != nil; f = f.next {
		if err := f.download(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

type watched struct {
	ctx  context.Context
	r    io.Reader
	tell func(context.Context, int) error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p[:min(len(p), pieceBytesMax)])
	if n > 0 {
		if err := w.tell(w.ctx, n); err != nil {
			return n, err
		}
	}
	return n, err
}
