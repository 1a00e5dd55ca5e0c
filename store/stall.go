package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// StallTime is how long a call may go without an answer and without a byte:
// as long as a busy cloud takes to finish an upload whose bytes it has.
const StallTime = 2 * time.Minute

var errStalled = errors.New("no answer and no byte")

// watchful ends calls that stand still.
type watchful struct {
	Store
	most time.Duration
}

// Watch ends each call of a store that stands still for so long; it then
// fails with Temporary, a write with ErrUnknown too. How long a call takes in
// all is not bounded: a slow line is no fault.
func Watch(s Store, most time.Duration) Store { return &watchful{Store: s, most: most} }

func (s *watchful) Unwrap() Store { return s.Store }

func (s *watchful) Put(ctx context.Context, name string, data []byte) error {
	return s.call(ctx, "put "+name, ErrUnknown, func(ctx context.Context) error { return s.Store.Put(ctx, name, data) })
}

func (s *watchful) Delete(ctx context.Context, name string) error {
	return s.call(ctx, "delete "+name, ErrUnknown, func(ctx context.Context) error { return s.Store.Delete(ctx, name) })
}

func (s *watchful) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	return s.GetInto(ctx, name, offset, length, nil)
}

func (s *watchful) GetInto(ctx context.Context, name string, offset, length int64, buf []byte) (data []byte, err error) {
	err = s.call(ctx, "get "+name, nil, func(ctx context.Context) error {
		data, err = GetInto(ctx, s.Store, name, offset, length, buf)
		return err
	})
	return data, err
}

func (s *watchful) Size(ctx context.Context, name string) (size int64, err error) {
	err = s.call(ctx, "size of "+name, nil, func(ctx context.Context) error {
		size, err = s.Store.Size(ctx, name)
		return err
	})
	return size, err
}

// List is watched between its objects; what the caller does with one counts
// for nothing.
func (s *watchful) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		watch, timer, done := s.begin(ctx)
		defer done()
		for info, err := range s.Store.List(watch, prefix) {
			timer.Stop()
			if !yield(info, s.explain(watch, "list "+prefix, nil, err)) {
				return
			}
			timer.Reset(s.most)
		}
	}
}

func (s *watchful) call(ctx context.Context, what string, outcome error, do func(context.Context) error) error {
	watch, _, done := s.begin(ctx)
	defer done()
	return s.explain(watch, what, outcome, do(watch))
}

// begin gives the context of one call, which ends when the timer does.
func (s *watchful) begin(ctx context.Context) (watch context.Context, timer *time.Timer, done func()) {
	watch, cancel := context.WithCancelCause(ctx)
	timer = time.AfterFunc(s.most, func() { cancel(errStalled) })
	beat := func(context.Context, int) error {
		timer.Reset(s.most)
		return nil
	}
	return withFlow(watch, flow{upload: beat, download: beat}), timer, func() { timer.Stop(); cancel(nil) }
}

func (s *watchful) explain(watch context.Context, what string, outcome, err error) error {
	if err == nil || !errors.Is(context.Cause(watch), errStalled) {
		return err
	}
	err = fmt.Errorf("%s: %s: %w for %s", s.Location(), what, errStalled, s.most)
	if outcome != nil {
		err = fmt.Errorf("%w: %w", outcome, err)
	}
	return Classed(Temporary, err)
}
