package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/store"
	"strongroom/store/mem"
)

// standing is a store whose calls move some bytes and then stand still.
type standing struct {
	store.Store
	pieces int
	pace   time.Duration
}

func (s *standing) Put(ctx context.Context, _ string, data []byte) error {
	up := store.Upload(ctx, bytes.NewReader(data))
	for range s.pieces {
		time.Sleep(s.pace)
		if _, err := up.Read(make([]byte, 1)); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *standing) List(ctx context.Context, _ string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for range s.pieces {
			if !yield(store.Info{Name: "a"}, nil) {
				return
			}
		}
		<-ctx.Done()
		yield(store.Info{}, ctx.Err())
	}
}

// A slow line is no stall; bytes that stop are.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.Watch(&standing{Store: mem.New(), pieces: 100, pace: 50 * time.Second}, time.Minute)
		begun := time.Now()
		err := s.Put(t.Context(), "a", make([]byte, 1000))
		if took := time.Since(begun); took != 100*50*time.Second+time.Minute {
			t.Errorf("ended after %s", took)
		}
		if store.ClassOf(err) != store.Temporary || !errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), "no answer and no byte for 1m0s") {
			t.Errorf("got %v", err)
		}
		seen := 0
		for _, err = range s.List(t.Context(), "") {
			seen++
			time.Sleep(2 * time.Minute) // the caller's own time counts for nothing
		}
		if seen != 101 || store.ClassOf(err) != store.Temporary {
			t.Errorf("List: %d, %v", seen, err)
		}
	})
}

// streaming tells of its bytes, as a cloud does; mem tells nothing, as a folder.
type streaming struct{ store.Store }

func (s streaming) Put(ctx context.Context, name string, data []byte) error {
	whole, err := io.ReadAll(store.Upload(ctx, bytes.NewReader(data)))
	if err != nil {
		return err
	}
	return s.Store.Put(ctx, name, whole)
}

// The limit holds over all calls together, whether the provider tells of its
// bytes or not.
func TestLimit(t *testing.T) {
	for name, inner := range map[string]store.Store{"told": streaming{mem.New()}, "untold": mem.New()} {
		synctest.Test(t, func(t *testing.T) {
			s := store.Limit(inner, store.Limits{Upload: 100_000, Download: 50_000})
			begun := time.Now()
			var failed atomic.Int64
			done := make(chan struct{})
			for i := range 4 {
				go func() {
					if s.Put(t.Context(), fmt.Sprint("o", i), make([]byte, 250_000)) != nil {
						failed.Add(1)
					}
					done <- struct{}{}
				}()
			}
			for range 4 {
				<-done
			}
			if took := time.Since(begun); failed.Load() > 0 || took < 9*time.Second || took > 11*time.Second {
				t.Errorf("%s: a million bytes at 100,000 a second took %s", name, took)
			}
			begun = time.Now()
			if _, err := s.Get(t.Context(), "o1", 0, -1); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took < 4*time.Second || took > 6*time.Second {
				t.Errorf("%s: 250,000 bytes at 50,000 a second took %s", name, took)
			}
		})
	}
	if (store.Limits{Upload: 100}).Check() == nil || (store.Limits{}).Check() != nil {
		t.Error("limits are not checked")
	}
}

// Traits are found through wrappers; who says nothing is tried as conditional.
func TestTraits(t *testing.T) {
	s := store.Retry(store.Watch(store.Limit(plain{mem.New()}, store.Limits{Upload: 1 << 20}), time.Minute), nil)
	if traits, err := store.TraitsOf(t.Context(), s); err != nil || traits.Conditional || !traits.Versions {
		t.Errorf("%+v, %v", traits, err)
	}
	if traits, _ := store.TraitsOf(t.Context(), mem.New()); !traits.Conditional {
		t.Error("mem is not conditional")
	}
	if err := store.Sweep(t.Context(), s); !errors.Is(err, errSwept) {
		t.Errorf("Sweep: %v", err)
	}
}

var errSwept = errors.New("swept")

type plain struct{ store.Store }

// Asking for the traits is tried again too.
func TestTraitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &asking{Store: mem.New()}
		if _, err := store.TraitsOf(t.Context(), store.Retry(s, nil)); err != nil || s.asked != 2 {
			t.Errorf("%v after %d questions", err, s.asked)
		}
	})
}

type asking struct {
	store.Store
	asked int
}

func (a *asking) Traits(context.Context) (store.Traits, error) {
	if a.asked++; a.asked == 1 {
		return store.Traits{}, store.Classed(store.Temporary, errors.New("busy"))
	}
	return store.Traits{}, nil
}

func (plain) Traits(context.Context) (store.Traits, error) { return store.Traits{Versions: true}, nil }
func (plain) Sweep(context.Context) error                  { return errSwept }
