package store

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Limits bound how much moves, in bytes a second; 0 is no bound. LimitMin is
// the lowest: below it a pack would take hours.
type Limits struct{ Upload, Download int64 }

// LimitMin is the lowest bound, in bytes a second.
const LimitMin = 8 << 10

// Check says what is wrong with the limits.
func (l Limits) Check() error {
	for _, n := range []int64{l.Upload, l.Download} {
		if n != 0 && n < LimitMin {
			return fmt.Errorf("a limit of %d bytes a second: the lowest is %d", n, LimitMin)
		}
	}
	return nil
}

// limited holds a store to limits. All its calls share them.
type limited struct {
	Store
	up, down *rate.Limiter // nil: no bound
}

// Limit bounds what moves to and from a store, over all its calls together.
func Limit(s Store, l Limits) Store {
	if l == (Limits{}) {
		return s
	}
	return &limited{Store: s, up: limiter(l.Upload), down: limiter(l.Download)}
}

func limiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), pieceBytesMax)
}

func (s *limited) Unwrap() Store { return s.Store }

func (s *limited) Put(ctx context.Context, name string, data []byte) error {
	watch, up, _ := s.watch(ctx)
	err := s.Store.Put(watch, name, data)
	if err == nil {
		// A provider that did not tell of its bytes: they moved, so the next
		// ones wait. That the caller is cancelled meanwhile undoes nothing.
		_ = take(ctx, s.up, int64(len(data))-up.Load())
	}
	return err
}

func (s *limited) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	return s.GetInto(ctx, name, offset, length, nil)
}

func (s *limited) GetInto(ctx context.Context, name string, offset, length int64, buf []byte) ([]byte, error) {
	watch, _, down := s.watch(ctx)
	data, err := GetInto(watch, s.Store, name, offset, length, buf)
	if err == nil {
		err = take(ctx, s.down, int64(len(data))-down.Load())
	}
	return data, err
}

func (s *limited) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	watch, _, _ := s.watch(ctx)
	return s.Store.List(watch, prefix)
}

// watch counts and paces the bytes of one call.
func (s *limited) watch(ctx context.Context) (watch context.Context, up, down *atomic.Int64) {
	up, down = new(atomic.Int64), new(atomic.Int64)
	return withFlow(ctx, flow{
		upload:   func(ctx context.Context, n int) error { up.Add(int64(n)); return take(ctx, s.up, int64(n)) },
		download: func(ctx context.Context, n int) error { down.Add(int64(n)); return take(ctx, s.down, int64(n)) },
	}), up, down
}

// take waits until n bytes may have moved.
func take(ctx context.Context, l *rate.Limiter, n int64) error {
	for ; l != nil && n > 0; n -= pieceBytesMax {
		if err := l.WaitN(ctx, int(min(n, pieceBytesMax))); err != nil {
			return err
		}
	}
	return nil
}
