package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	retryFirst = 500 * time.Millisecond // the first wait, before jitter
	retryMost  = time.Minute            // the longest
	// retryPatience is for a storage that has answered before; retryShy for
	// one that never has: a wrong address should not take long to be told.
	retryPatience = 15 * time.Minute
	retryShy      = 6 * time.Second
	// listedMax is how many names a listing remembers, to go on after a
	// failure without telling of an object twice.
	listedMax = 1 << 20
)

// Wait tells that a call waits before it tries again.
type Wait struct {
	Err   error // what the storage said
	For   time.Duration
	Tries int // so far
}

// patient tries again what failed for a time.
type patient struct {
	Store
	notice   func(Wait)
	answered atomic.Bool
}

// Retry tries again what failed with Temporary: after half a second, then
// twice as long each time up to a minute, each wait drawn between its half and
// its whole so that many clients do not come back at once, and no sooner than
// the storage asked for. notice hears of each wait, from any goroutine.
//
// A Put that is tried again after ErrUnknown may meet its own object: the
// bytes there tell.
func Retry(s Store, notice func(Wait)) Store {
	if notice == nil {
		notice = func(Wait) {}
	}
	return &patient{Store: s, notice: notice}
}

func (s *patient) Unwrap() Store { return s.Store }

func (s *patient) Put(ctx context.Context, name string, data []byte) error {
	doubt := false
	err := s.try(ctx, func() error {
		err := s.Store.Put(ctx, name, data)
		if doubt && errors.Is(err, ErrExists) {
			return s.settle(ctx, name, data, err)
		}
		doubt = doubt || errors.Is(err, ErrUnknown)
		return err
	})
	if err != nil && doubt && !isAny(err, ErrUnknown, ErrExists) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

// settle: after a Put of unknown outcome something stands there. Ours?
func (s *patient) settle(ctx context.Context, name string, data []byte, taken error) error {
	got, err := s.Store.Get(ctx, name, 0, -1)
	switch {
	case err == nil && bytes.Equal(got, data):
		return nil
	case err == nil:
		return taken
	}
	return Classed(Temporary, fmt.Errorf("%w: %w", ErrUnknown, err))
}

func (s *patient) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	return s.GetInto(ctx, name, offset, length, nil)
}

func (s *patient) GetInto(ctx context.Context, name string, offset, length int64, buf []byte) (data []byte, err error) {
	err = s.try(ctx, func() error {
		data, err = GetInto(ctx, s.Store, name, offset, length, buf)
		return err
	})
	return data, err
}

func (s *patient) Delete(ctx context.Context, name string) error {
	return s.try(ctx, func() error { return s.Store.Delete(ctx, name) })
}

func (s *patient) Size(ctx context.Context, name string) (size int64, err error) {
	err = s.try(ctx, func() error {
		size, err = s.Store.Size(ctx, name)
		return err
	})
	return size, err
}

// List begins again where it broke off, and tells of no object twice.
func (s *patient) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		told := map[string]bool{}
		err := s.try(ctx, func() error {
			for info, err := range s.Store.List(ctx, prefix) {
				if err != nil && len(told) >= listedMax {
					return Classed(Permanent, err)
				}
				if err != nil {
					return err
				}
				if told[info.Name] {
					continue
				}
				if len(told) < listedMax {
					told[info.Name] = true
				}
				if !yield(info, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Info{}, err)
		}
	}
}

// Traits are those of the store inside: asking for them calls it.
func (s *patient) Traits(ctx context.Context) (t Traits, err error) {
	err = s.try(ctx, func() error {
		t, err = TraitsOf(ctx, s.Store)
		return err
	})
	return t, err
}

// Sweep sweeps the store inside.
func (s *patient) Sweep(ctx context.Context) error {
	return s.try(ctx, func() error { return Sweep(ctx, s.Store) })
}

// errStopped: whoever lists has seen enough.
var errStopped = errors.New("stopped")

func (s *patient) try(ctx context.Context, do func() error) error {
	begun := time.Now()
	for tries := 1; ; tries++ {
		err := do()
		if err == nil || ctx.Err() != nil || ClassOf(err) != Temporary {
			if err == nil || ctx.Err() == nil {
				s.answered.Store(true)
			}
			return err
		}
		wait := max(backoff(tries), asked(err))
		if time.Since(begun)+wait > s.patience() {
			return Classed(Temporary, fmt.Errorf("%w (tried %d times in %s)", err, tries, time.Since(begun).Round(100*time.Millisecond)))
		}
		s.notice(Wait{Err: err, For: wait, Tries: tries})
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

func (s *patient) patience() time.Duration {
	if s.answered.Load() {
		return retryPatience
	}
	return retryShy
}

// backoff is the wait after so many tries, with its jitter.
func backoff(tries int) time.Duration {
	full := retryMost
	if tries < 8 {
		full = min(retryMost, retryFirst<<(tries-1))
	}
	return full/2 + rand.N(full/2+1)
}
