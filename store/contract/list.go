package contract

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"strongroom/store"
)

// listed gives names and sizes, and an error for a name listed twice.
func listed(ctx context.Context, s store.Store, prefix string) (map[string]int64, error) {
	found := map[string]int64{}
	for info, err := range s.List(ctx, prefix) {
		if err != nil {
			return found, err
		}
		if _, twice := found[info.Name]; twice {
			return found, fmt.Errorf("%s listed twice", info.Name)
		}
		found[info.Name] = info.Size
	}
	return found, nil
}

func checkList(t *Trial, s store.Store) {
	all := map[string]int64{"head": 1, "packs/a": 0, "packs/a-b": 2, "packs/b": 3, "packs/b2/deep/er": 4, "packs-old/a": 5, "x/packs/a": 6}
	for name, size := range all {
		must(t, s.Put(t.Context(), name, Bytes(9, int(size))))
	}
	for _, prefix := range []string{
		"", "h", "head", "head/", "packs", "packs/", "packs-", "packs/a", "packs/b", "packs/b2", "packs/b2/",
		"packs/b2/d", "packs/b2/deep/", "x", "x/", "x/packs/a", "y", "packs/c", "packs/a/",
	} {
		want := map[string]int64{}
		for name, size := range all {
			if strings.HasPrefix(name, prefix) {
				want[name] = size
			}
		}
		got, err := listed(t.Context(), s, prefix)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("List(%q): %v, %v; want %v", prefix, got, err, want)
		}
	}
	for _, prefix := range []string{"/", "a//", "../", ".tmp", "A", "a*"} {
		_, err := listed(t.Context(), s, prefix)
		wantError(t, "List of prefix "+prefix, err, store.ErrName)
	}
	must(t, s.Delete(t.Context(), "packs/a"))
	got, err := listed(t.Context(), s, "packs/a")
	if err != nil || len(got) != 1 {
		t.Errorf("List after Delete: %v, %v; want packs/a-b alone", got, err)
	}
}

func checkListMany(t *Trial, s store.Store) {
	want := fill(t, s, t.scale.Objects)
	got, err := listed(t.Context(), s, "many/")
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("List: %d objects, %v; want %d", len(got), err, len(want))
	}
	got, err = listed(t.Context(), s, "many/5/")
	if err != nil || len(got) != t.scale.Objects/10 {
		t.Errorf("List of one folder: %d objects, %v; want %d", len(got), err, t.scale.Objects/10)
	}
	checkListCancelled(t, s, t.scale.Objects)
}

// A listing that is cut must not look like a whole one: pruning by it would
// delete what it did not show.
func checkListCancelled(t *Trial, s store.Store, objects int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, failed := 0, error(nil)
	for _, err := range s.List(ctx, "many/") {
		if err != nil {
			failed = err
			break
		}
		if seen++; seen == 3 {
			cancel()
		}
	}
	if seen < objects && failed == nil {
		t.Errorf("a cancelled List gave %d of %d objects and no error", seen, objects)
	}
}

// fill puts n small objects by a few workers.
func fill(t *Trial, s store.Store, n int) map[string]int64 {
	want := map[string]int64{}
	names := make(chan string, n)
	for i := range n {
		name := fmt.Sprintf("many/%d/%06d", i%10, i)
		want[name] = int64(i % 10)
		names <- name
	}
	close(names)
	var group sync.WaitGroup
	for range mixedWorkers {
		group.Go(func() {
			for name := range names {
				if err := s.Put(t.Context(), name, make([]byte, want[name])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return want
}

func checkListStops(t *Trial, s store.Store) {
	fill(t, s, 20)
	seen := 0
	for _, err := range s.List(t.Context(), "") {
		must(t, err)
		seen++
		if seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d objects, wanted to stop at 3", seen)
	}
	// The same sequence may be walked again.
	list := s.List(t.Context(), "")
	for round := range 2 {
		seen = 0
		for range list {
			seen++
		}
		if seen != 20 {
			t.Errorf("round %d saw %d objects, want 20", round, seen)
		}
	}
}

func checkNames(t *Trial, s store.Store) {
	long := strings.Repeat("abcdefg-9/", 19) + strings.Repeat("z", 10)
	for _, name := range []string{"a", "0", "-", "a-b", "a/b/c/d", "--/--", long} {
		must(t, s.Put(t.Context(), name+"", []byte(name)))
		wantObject(t, s, name, []byte(name))
		must(t, s.Delete(t.Context(), name)) // so that "a" and "a/b" never stand together
	}
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".tmp/a", "a.b", "A", "ä", "a b", "a\x00b",
		"a\\b", "a?b", "a#b", "a%41", "a_b", "a:b", "c:/x", "a\n", long + "z",
	} {
		wantError(t, fmt.Sprintf("Put %q", name), s.Put(t.Context(), name, []byte("x")), store.ErrName)
		_, err := s.Get(t.Context(), name, 0, -1)
		wantError(t, fmt.Sprintf("Get %q", name), err, store.ErrName)
		_, err = s.Size(t.Context(), name)
		wantError(t, fmt.Sprintf("Size %q", name), err, store.ErrName)
		wantError(t, fmt.Sprintf("Delete %q", name), s.Delete(t.Context(), name), store.ErrName)
	}
	got, err := listed(t.Context(), s, "")
	if err != nil || len(got) != 0 {
		t.Errorf("List after refused names: %v, %v; want nothing", got, err)
	}
}

func checkTooLarge(t *Trial, s store.Store) {
	wantError(t, "Put", s.Put(t.Context(), "large", make([]byte, store.ObjectBytesMax+1)), store.ErrSize)
	_, err := s.Size(t.Context(), "large")
	wantError(t, "Size", err, store.ErrNotFound)
}
