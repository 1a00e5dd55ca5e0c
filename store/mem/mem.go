// Package mem keeps objects in memory, for tests.
package mem

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"strongroom/store"
)

// Store is a store.Store in memory. The zero value is not ready: use New.
type Store struct {
	mu      sync.RWMutex
	objects map[string][]byte // under mu; values never change once put
}

// New gives an empty store.
func New() *Store { return &Store{objects: map[string][]byte{}} }

// Put keeps a copy of data.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := store.CheckPut(name, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	kept := slices.Clone(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.objects[name]; found {
		return fmt.Errorf("%w: %s", store.ErrExists, name)
	}
	s.objects[name] = kept
	return nil
}

// Get gives a copy, so that a caller may change what it was given.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := store.CheckRange(offset, length); err != nil {
		return nil, err
	}
	data, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	from, to := store.Span(offset, length, int64(len(data)))
	return append([]byte{}, data[from:to]...), nil
}

// List gives a snapshot of what was there when it began.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := store.CheckPrefix(prefix); err != nil {
			yield(store.Info{}, err)
			return
		}
		for _, info := range s.infos(prefix) {
			if err := ctx.Err(); err != nil {
				yield(store.Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete removes an object.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, name)
	return nil
}

// Size is the object's size in bytes.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	data, err := s.find(ctx, name)
	return int64(len(data)), err
}

// Location is "mem:".
func (s *Store) Location() string { return "mem:" }

func (s *Store) find(ctx context.Context, name string) ([]byte, error) {
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	data, found := s.objects[name]
	if !found {
		return nil, fmt.Errorf("%w: %s", store.ErrNotFound, name)
	}
	return data, nil
}

func (s *Store) infos(prefix string) []store.Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []store.Info
	for name, data := range s.objects {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, store.Info{Name: name, Size: int64(len(data))})
		}
	}
	return infos
}
