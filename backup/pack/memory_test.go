package pack

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"strongroom/store"
)

// memory is a store of our own for tests: what is in it can be changed
// behind the repository's back, and every put can fail.
type memory struct {
	mu   sync.Mutex
	data map[string][]byte
	puts int
	gets int
	// before, if set, is asked before a put of the given number (from 1).
	before func(put int, name string) fault
}

type fault int

const (
	works     fault = iota
	notLanded       // fails, and nothing is stored
	landed          // says the outcome is unknown, but it is stored
	lost            // says the outcome is unknown, and nothing is stored
)

func newMemory() *memory { return &memory{data: map[string][]byte{}} }

func (m *memory) clone() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{data: maps.Clone(m.data)}
}

func (m *memory) Put(ctx context.Context, name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	f := works
	if m.before != nil {
		f = m.before(m.puts, name)
	}
	if f == notLanded {
		return context.DeadlineExceeded
	}
	if f == lost {
		return store.ErrUnknown
	}
	if _, there := m.data[name]; there {
		return store.ErrExists
	}
	m.data[name] = append([]byte(nil), data...)
	if f == landed {
		return store.ErrUnknown
	}
	return ctx.Err()
}

func (m *memory) Get(_ context.Context, name string, offset, length int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	b, there := m.data[name]
	if !there {
		return nil, store.ErrNotFound
	}
	b = b[min(offset, int64(len(b))):]
	if length >= 0 && length < int64(len(b)) {
		b = b[:length]
	}
	return append([]byte(nil), b...), nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[store.Info, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Info
	for _, name := range slices.Sorted(maps.Keys(m.data)) {
		if strings.HasPrefix(name, prefix) {
			out = append(out, store.Info{Name: name, Size: int64(len(m.data[name]))})
		}
	}
	return func(yield func(store.Info, error) bool) {
		for _, i := range out {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, name)
	return nil
}

func (m *memory) Size(ctx context.Context, name string) (int64, error) {
	b, err := m.Get(ctx, name, 0, -1)
	return int64(len(b)), err
}

func (m *memory) Location() string { return "mem:" }
