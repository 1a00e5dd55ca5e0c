package pack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/store"
	"strongroom/store/mem"
)

// far is a storage that takes a second for each read below a prefix, by the
// clock of a bubble, and counts how many are under way.
type far struct {
	store.Store
	prefix string

	mu         sync.Mutex
	reads      int // guarded by mu
	most, each int // guarded by mu: at once; of one name at once
	underWay   map[string]int
}

func (f *far) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if !strings.HasPrefix(name, f.prefix) {
		return f.Store.Get(ctx, name, offset, length)
	}
	f.mu.Lock()
	f.reads++
	f.underWay[name]++
	f.most, f.each = max(f.most, len(f.underWay)), max(f.each, f.underWay[name])
	f.mu.Unlock()
	time.Sleep(time.Second)
	f.mu.Lock()
	if f.underWay[name]--; f.underWay[name] == 0 {
		delete(f.underWay, name)
	}
	f.mu.Unlock()
	return f.Store.Get(ctx, name, offset, length)
}

// Heads, and the tables of packs that no index names, are asked for several at
// once, and no more than that: by what is under way at the storage, and by how
// long it takes.
func TestManyAreAskedForAtOnce(t *testing.T) {
	const things = 3 * lookWorkers
	for _, c := range []struct {
		prefix string
		reads  int // of each
		fill   func(*testing.T, *Repo)
		look   func(*testing.T, *Repo) int
	}{
		{prefixHead, 1, func(t *testing.T, r *Repo) {
			for i := range things {
				if _, err := r.PutHead(t.Context(), Head{Device: DeviceID{byte(i)}, Sequence: 1}); err != nil {
					t.Fatal(err)
				}
			}
		}, func(t *testing.T, r *Repo) int {
			heads, damage, err := r.Heads(t.Context())
			if err != nil || len(damage) > 0 {
				t.Fatal(damage, err)
			}
			return len(heads)
		}},
		{prefixPack, 2, func(t *testing.T, r *Repo) {
			for i := range things {
				w := r.NewWriter(t.Context())
				if _, err := w.AddBytes(KindFile, fmt.Append(nil, i)); err != nil {
					t.Fatal(err)
				}
				if err := w.finishPacks(); err != nil { // and no index
					t.Fatal(err)
				}
			}
			if _, err := r.PutHead(t.Context(), Head{Sequence: 1}); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, r *Repo) int {
			if _, _, err := r.LoadIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			n, damage, err := r.AdoptOrphans(t.Context())
			if err != nil || len(damage) > 0 {
				t.Fatal(damage, err)
			}
			return n
		}},
	} {
		t.Run(c.prefix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &far{Store: mem.New(), prefix: "none", underWay: map[string]int{}}
				r, err := Create(t.Context(), f, &[32]byte{1})
				if err != nil {
					t.Fatal(err)
				}
				c.fill(t, r)
				f.prefix = c.prefix
				began := time.Now()
				if n := c.look(t, r); n != things || f.reads != c.reads*things {
					t.Errorf("%d of %d, in %d reads", n, things, f.reads)
				}
				if f.most != lookWorkers || f.each != 1 {
					t.Errorf("%d at once, and %d of one", f.most, f.each)
				}
				if took := time.Since(began); took != time.Duration(c.reads*things/lookWorkers)*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// The first error ends all, and is the one that is given.
func TestSpreadEndsAtAnError(t *testing.T) {
	wrong := errors.New("wrong")
	all := make([]int, 1000)
	for i := range all {
		all[i] = i
	}
	err := spread(t.Context(), all, func(ctx context.Context, i int) error {
		switch {
		case i == 20:
			return wrong
		case i > 20:
			<-ctx.Done() // else this never ends
			return ctx.Err()
		}
		return nil
	})
	if !errors.Is(err, wrong) {
		t.Error(err)
	}
	if err := spread(t.Context(), nil, func(context.Context, int) error { return wrong }); err != nil {
		t.Error("of nothing:", err)
	}
}
