package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/contract"
	"strongroom/store/mem"
)

// A contract that can not fail is none: each fault is found, by the check
// whose promise it breaks.
func TestFindsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		broken func(store.Store) store.Store
		by     string
	}{
		"overwrites":         {func(s store.Store) store.Store { return &overwriting{Store: s} }, "PutIfAbsent"},
		"looks, then writes": {func(s store.Store) store.Store { return &overwriting{Store: s, looks: true} }, "PutRace"},
		"keeps a part": {func(s store.Store) store.Store {
			return putting{s, func(b []byte) []byte { return b[:min(len(b), 1<<20)] }}
		}, "PutGet"},
		"swallows the last bit": {func(s store.Store) store.Store { return getting{s, func(b []byte) []byte { return flip(b) }} }, "PutGet"},
		"keeps the caller's":    {func(s store.Store) store.Store { return &sharing{Store: s, kept: map[string][]byte{}} }, "CallerKeepsItsBytes"},
		"ignores ranges":        {func(s store.Store) store.Store { return whole{s} }, "Range"},
		"finds everything":      {func(s store.Store) store.Store { return polite{s} }, "NotFound"},
		"deletes nothing":       {func(s store.Store) store.Store { return hoarding{s} }, "Delete"},
		"deletes too much":      {func(s store.Store) store.Store { return greedy{s} }, "Delete"},
		"takes any name":        {func(s store.Store) store.Store { return lax{s} }, "Names"},
		"lists one page":        {func(s store.Store) store.Store { return paging{s, 50} }, "ListMany"},
		"lists twice":           {func(s store.Store) store.Store { return doubling{s} }, "List"},
		"does not hear":         {func(s store.Store) store.Store { return deaf{s} }, "Cancelled"},
		"has no address":        {func(s store.Store) store.Store { return nameless{s} }, "Location"},
	} {
		t.Run(name, func(t *testing.T) {
			var failed []string
			for _, check := range contract.Checks {
				s := c.broken(mem.New())
				if len(check.Run(t.Context(), contract.Short, func() (store.Store, error) { return s, nil })) > 0 {
					failed = append(failed, check.Name)
				}
			}
			if !slices.Contains(failed, c.by) {
				t.Errorf("found by %v, want %s among them", failed, c.by)
			}
		})
	}
}

// A storage that says that it has no conditional writes is not held to them,
// but to whole objects.
func TestUnconditional(t *testing.T) {
	for _, check := range contract.Checks {
		s := said{&overwriting{Store: mem.New(), looks: true}}
		for _, failure := range check.Run(t.Context(), contract.Short, func() (store.Store, error) { return s, nil }) {
			t.Errorf("%s: %s", check.Name, failure)
		}
	}
}

// A storage that can not be opened fails every check, and stops none.
func TestNoStorage(t *testing.T) {
	gone := errors.New("gone")
	for _, check := range contract.Checks {
		if failures := check.Run(t.Context(), contract.Short, func() (store.Store, error) { return nil, gone }); len(failures) != 1 || failures[0] != "gone" {
			t.Errorf("%s: %q", check.Name, failures)
		}
	}
}

type said struct{ store.Store }

func (said) Traits(context.Context) (store.Traits, error) { return store.Traits{}, nil }

// overwriting has no put if absent; with looks it looks before it writes.
type overwriting struct {
	store.Store
	looks bool
	mu    sync.Mutex
}

func (o *overwriting) Put(ctx context.Context, name string, data []byte) error {
	if o.looks {
		if _, err := o.Size(ctx, name); err == nil {
			return fmt.Errorf("%w: %s", store.ErrExists, name)
		}
		time.Sleep(time.Millisecond) // as long as a line is
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.Delete(ctx, name); err != nil {
		return err
	}
	return o.Store.Put(ctx, name, data)
}

type putting struct {
	store.Store
	change func([]byte) []byte
}

func (p putting) Put(ctx context.Context, name string, data []byte) error {
	return p.Store.Put(ctx, name, p.change(data))
}

type getting struct {
	store.Store
	change func([]byte) []byte
}

func (g getting) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	b, err := g.Store.Get(ctx, name, offset, length)
	return g.change(b), err
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) > 4095 {
		b[len(b)-1] ^= 1
	}
	return b
}

// sharing gives out the bytes it was given.
type sharing struct {
	store.Store
	mu   sync.Mutex
	kept map[string][]byte
}

func (s *sharing) Put(ctx context.Context, name string, data []byte) error {
	err := s.Store.Put(ctx, name, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.kept[name] = data
	}
	return err
}

func (s *sharing) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	b, err := s.Store.Get(ctx, name, offset, length)
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, found := s.kept[name]; found && err == nil && offset == 0 && length == -1 {
		return data, nil
	}
	return b, err
}

type whole struct{ store.Store }

func (w whole) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	return w.Store.Get(ctx, name, 0, -1)
}

type polite struct{ store.Store }

func (p polite) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	b, err := p.Store.Get(ctx, name, offset, length)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

type hoarding struct{ store.Store }

func (hoarding) Delete(context.Context, string) error { return nil }

type greedy struct{ store.Store }

func (g greedy) Delete(ctx context.Context, name string) error {
	for info := range g.List(ctx, name) {
		if err := g.Store.Delete(ctx, info.Name); err != nil {
			return err
		}
	}
	return g.Store.Delete(ctx, name)
}

type lax struct{ store.Store }

func (l lax) Size(ctx context.Context, name string) (int64, error) {
	return l.Store.Size(ctx, strings.ToLower(name))
}

type paging struct {
	store.Store
	page int
}

func (p paging) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range p.Store.List(ctx, prefix) {
			if n++; n > p.page || !yield(info, err) {
				return
			}
		}
	}
}

type doubling struct{ store.Store }

func (d doubling) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range d.Store.List(ctx, prefix) {
			if !yield(info, err) || !yield(info, err) {
				return
			}
		}
	}
}

type deaf struct{ store.Store }

func (d deaf) Put(ctx context.Context, name string, data []byte) error {
	return d.Store.Put(context.WithoutCancel(ctx), name, data)
}

type nameless struct{ store.Store }

func (nameless) Location() string { return "" }
