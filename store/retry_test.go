package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/store"
	"strongroom/store/fault"
	"strongroom/store/mem"
	"strongroom/store/storetest"
)

// Around every storage stand the same wrappers: they keep the contract.
func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		limited := store.Limit(mem.New(), store.Limits{Upload: 1 << 40, Download: 1 << 40})
		return store.Retry(store.Watch(limited, time.Minute), nil)
	})
}

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want store.Class
	}{
		{errors.New("anything"), store.Permanent},
		{store.ErrNotFound, store.Absent},
		{store.ErrExists, store.Permanent},
		{store.ErrUnknown, store.Temporary},
		{context.Canceled, store.Permanent},
		{context.DeadlineExceeded, store.Temporary},
		{io.ErrUnexpectedEOF, store.Temporary},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, store.Temporary},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, store.Temporary},
		{syscall.ECONNRESET, store.Temporary},
		{&os.PathError{Op: "write", Err: syscall.ENOSPC}, store.Full},
		{syscall.EDQUOT, store.Full},
		{&os.PathError{Op: "open", Err: syscall.EACCES}, store.Refused},
		{syscall.EROFS, store.Refused},
		{syscall.EIO, store.Permanent},
		{store.Classed(store.Refused, store.ErrUnknown), store.Refused},
		{store.After(time.Second, errors.New("slow down")), store.Temporary},
	} {
		if got := store.ClassOf(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	err := store.Classed(store.Full, fmt.Errorf("put a: %w", store.ErrUnknown))
	if err.Error() != "put a: store: outcome unknown" || !errors.Is(err, store.ErrUnknown) {
		t.Errorf("a class changed its error: %v", err)
	}
}

// sick fails its first calls.
type sick struct {
	store.Store
	fails []error
	calls int
}

func (s *sick) next() error {
	s.calls++
	if s.calls <= len(s.fails) {
		return s.fails[s.calls-1]
	}
	return nil
}

func (s *sick) Size(ctx context.Context, name string) (int64, error) {
	if err := s.next(); err != nil {
		return 0, err
	}
	return s.Store.Size(ctx, name)
}

func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := store.Classed(store.Temporary, errors.New("the storage answers 503"))
		inner := &sick{Store: mem.New()}
		var waits []time.Duration
		s := store.Retry(inner, func(w store.Wait) {
			if !errors.Is(w.Err, down) || w.Tries != len(waits)+1 {
				t.Errorf("told %+v", w)
			}
			waits = append(waits, w.For)
		})
		if err := s.Put(t.Context(), "a", []byte("x")); err != nil { // it has answered once: be patient
			t.Fatal(err)
		}
		inner.fails = []error{down, down, down, down, down, down, down, down, down}
		if n, err := s.Size(t.Context(), "a"); n != 1 || err != nil {
			t.Errorf("Size: %d, %v", n, err)
		}
		if len(waits) != 9 {
			t.Fatalf("waited %v", waits)
		}
		for i, full := range []time.Duration{500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000} {
			if full *= time.Millisecond; waits[i] < full/2 || waits[i] > full {
				t.Errorf("wait %d: %s, want half to whole of %s", i, waits[i], full)
			}
		}
	})
}

// A storage that never answered is not waited for long, one that did is for a
// quarter of an hour; what is not temporary is told at once.
func TestRetryGivesUp(t *testing.T) {
	for _, c := range []struct {
		name     string
		err      error
		answered bool
		from, to time.Duration
	}{
		{"wrong address", syscall.ECONNREFUSED, false, time.Second, 7 * time.Second},
		{"line away", syscall.ECONNREFUSED, true, 13 * time.Minute, 16 * time.Minute},
		{"refused", store.Classed(store.Refused, errors.New("403")), true, 0, 0},
		{"full", syscall.ENOSPC, true, 0, 0},
		{"asked for an hour", store.After(time.Hour, errors.New("429")), true, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			inner := &sick{Store: mem.New()}
			s := store.Retry(inner, nil)
			if c.answered {
				_, _ = s.Size(t.Context(), "a")
			}
			for range 200 {
				inner.fails = append(inner.fails, c.err)
			}
			begun := time.Now()
			_, err := s.Size(t.Context(), "a")
			if took := time.Since(begun); !errors.Is(err, c.err) || took < c.from || took > c.to {
				t.Errorf("%s: %v after %s, want between %s and %s", c.name, err, took, c.from, c.to)
			}
			if store.ClassOf(err) != store.ClassOf(c.err) {
				t.Errorf("%s: class %v became %v", c.name, store.ClassOf(c.err), store.ClassOf(err))
			}
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.Retry(&sick{Store: mem.New(), fails: []error{syscall.ECONNRESET, syscall.ECONNRESET}}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := s.Size(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v, want both why it waited and why it ended", err)
		}
	})
}

// A Put whose outcome was unknown meets its own object and says so; it does
// not take another's for its own, and does not forget its doubt.
func TestRetryPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, effect := range []fault.Effect{fault.Lost, fault.Landed} {
			inner := fault.New(mem.New(), 1, fault.Rule{On: fault.Put, Nth: 1, Effect: effect})
			if err := store.Retry(inner, nil).Put(t.Context(), "a", []byte("mine")); err != nil || inner.Writes() != 2 {
				t.Errorf("effect %v: %v after %d writes", effect, err, inner.Writes())
			}
		}
		back := mem.New()
		inner := fault.New(back, 1, fault.Rule{On: fault.Put, Nth: 1, Effect: fault.Lost})
		s := store.Retry(inner, func(store.Wait) { _ = back.Put(t.Context(), "a", []byte("other")) })
		if err := s.Put(t.Context(), "a", []byte("mine")); !errors.Is(err, store.ErrExists) {
			t.Errorf("another's object: %v, want ErrExists", err)
		}
		// Without doubt an object of the same bytes is another's.
		if err := s.Put(t.Context(), "a", []byte("other")); !errors.Is(err, store.ErrExists) {
			t.Errorf("the same bytes: %v, want ErrExists", err)
		}
		full := store.Classed(store.Full, errors.New("no room"))
		doubting := &putting{Store: mem.New(), fails: []error{store.ErrUnknown, full}}
		if err := store.Retry(doubting, nil).Put(t.Context(), "a", nil); !errors.Is(err, store.ErrUnknown) || !errors.Is(err, full) {
			t.Errorf("unknown, then full: %v, want both", err)
		}
	})
}

type putting struct {
	store.Store
	fails []error
}

func (p *putting) Put(ctx context.Context, name string, data []byte) error {
	if len(p.fails) > 0 {
		err := p.fails[0]
		p.fails = p.fails[1:]
		return err
	}
	return p.Store.Put(ctx, name, data)
}

// breaking is a store whose first listings break off.
type breaking struct {
	store.Store
	after int
	left  int
}

func (b *breaking) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range b.Store.List(ctx, prefix) {
			if n++; n > b.after && b.left > 0 {
				b.left--
				yield(store.Info{}, syscall.ECONNRESET)
				return
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func TestRetryList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := mem.New()
		for i := range 20 {
			if err := back.Put(t.Context(), fmt.Sprint("o", i), nil); err != nil {
				t.Fatal(err)
			}
		}
		inner := &breaking{Store: back, after: 7, left: 3}
		seen := map[string]int{}
		for info, err := range store.Retry(inner, nil).List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			seen[info.Name]++
		}
		if len(seen) != 20 || inner.left != 0 {
			t.Errorf("%d objects, %d breaks left", len(seen), inner.left)
		}
		for name, n := range seen {
			if n != 1 {
				t.Errorf("%s listed %d times", name, n)
			}
		}
	})
}
