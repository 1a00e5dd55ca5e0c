package backup

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/store/mem"
)

// seenOf reads all that a state remembers, by root.
func seenOf(t *testing.T, s *state) map[string][]*seen {
	t.Helper()
	out := map[string][]*seen{}
	names, err := filepath.Glob(filepath.Join(s.folder, statePrefix+"-*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.openStateReader(bytes.NewReader(b), func() {})
		if err != nil {
			t.Fatal(name, err)
		}
		for x := r.next(); x != nil; x = r.next() {
			out[r.root] = append(out[r.root], x)
		}
	}
	return out
}

// keepSeen writes what seenOf read, changed.
func keepSeen(t *testing.T, s *state, all map[string][]*seen) {
	t.Helper()
	for root, files := range all {
		w, err := s.begin(root)
		for _, x := range files {
			if err == nil {
				err = w.add(x)
			}
		}
		if err == nil {
			err = w.keep()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// changeSeen lets each of a state's files be changed.
func changeSeen(t *testing.T, r *Repository, stateDir string, change func(*seen)) {
	t.Helper()
	s, err := r.openState(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	all := seenOf(t, s)
	for _, files := range all {
		for _, x := range files {
			change(x)
		}
	}
	keepSeen(t, s, all)
}

// A cursor says of every path what a map would, whichever roots the state is
// of, and passes over none.
func TestCursorIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	r := mustCreate(t, mem.New())
	parts := []string{"a", "a-", "a.b", "b", "aa", "a0"}
	hit := 0
	for range 300 {
		stateDir := t.TempDir()
		s, err := r.openState(stateDir)
		if err != nil {
			t.Fatal(err)
		}
		root := func() string {
			out := "/r"
			for range random.IntN(3) {
				out += "/" + parts[random.IntN(len(parts))]
			}
			return out
		}
		want, all := map[string]int64{}, map[string][]*seen{}
		ask := root()
		roots := []string{root(), root()}
		if random.IntN(2) == 0 {
			roots = append(roots, ask)
		}
		slices.Sort(roots)
		roots = slices.Compact(roots)
		exact := slices.Contains(roots, ask)
		for _, was := range roots {
			paths := map[string]bool{}
			for range random.IntN(20) {
				path := ""
				for range random.IntN(4) {
					path = strings.TrimPrefix(path+"/"+parts[random.IntN(len(parts))], "/")
				}
				paths[path] = true
			}
			all[was] = nil
			for path := range paths {
				full := strings.TrimSuffix(was+"/"+path, "/")
				size := int64(len(want) + 1)
				if had, there := want[full]; there {
					size = had // one file, seen from two roots
				}
				if !exact || was == ask {
					want[full] = size
				}
				x := &seen{Path: path}
				x.Stat.Size = size
				all[was] = append(all[was], x)
			}
			slices.SortFunc(all[was], func(a, b *seen) int { return cmp.Compare(a.Path, b.Path) })
		}
		keepSeen(t, s, all)
		c := s.cursor(ask, func() {})
		var asked []string
		for full := range want {
			if full == ask || strings.HasPrefix(full, ask+"/") {
				asked = append(asked, strings.TrimPrefix(full[len(ask):], "/"))
			}
		}
		for i := range 10 {
			asked = append(asked, fmt.Sprint("a/none", i))
		}
		slices.Sort(asked)
		for _, path := range asked {
			got, size := c.find(path), want[strings.TrimSuffix(ask+"/"+path, "/")]
			if (got == nil) != (size == 0) || got != nil && (got.Stat.Size != size || got.Path != path) {
				t.Fatalf("%s of %v, %q: %+v, want %d", ask, roots, path, got, size)
			}
			if got != nil {
				hit++
			}
		}
		c.close()
	}
	if hit < 500 {
		t.Fatal("found", hit)
	}
}
