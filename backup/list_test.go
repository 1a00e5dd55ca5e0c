package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/store/mem"
)

// What List gives is what a restore writes, and what Diff gives is what
// differs between two shadows.
func TestListAndDiffAreWhatThereIs(t *testing.T) {
	root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	x := newTree(t, root, 61)
	r := mustCreate(t, st)
	one := takeShadow(t, root)
	first := mustBackup(t, r, stateDir, root).Snapshot.ID
	for range 15 {
		x.edit()
	}
	x.must(os.Chmod(root, 0o700))
	two := takeShadow(t, root)
	second := mustBackup(t, r, stateDir, root).Snapshot.ID
	for id, want := range map[string]shadow{first: one, second: two} {
		seen := 0
		_, err := r.List(t.Context(), id, "", func(g Thing) error {
			rel := strings.TrimPrefix(strings.TrimPrefix(g.Path, "data"), "/")
			if rel == "" {
				rel = "."
			}
			w, there := want[rel]
			if seen++; !there || g.Kind == KindFile && g.Size != int64(len(w.content)) || g.Kind == KindLink && g.Link != w.content ||
				g.Kind != KindLink && g.Mode != w.mode {
				t.Errorf("%q: %+v, not %v", rel, g, w.mode)
			}
			return nil
		})
		if err != nil || seen != len(want) {
			t.Fatal(seen, len(want), err)
		}
	}
	got := map[string]string{}
	report, err := r.Diff(t.Context(), first, second, func(c Change) error {
		got[c.Path] = c.Change
		return nil
	})
	if err != nil || report.Added+report.Removed+report.Modified+report.Touched != len(got) || len(got) < 5 {
		t.Fatal(report, err)
	}
	for path := range merged(one, two) {
		a, in1 := one[path]
		b, in2 := two[path]
		want := ""
		switch {
		case !in1:
			want = Added
		case !in2:
			want = Removed
		case a.content != b.content:
			want = Modified
		case a.mode != b.mode || !a.modTime.Equal(b.modTime):
			want = Touched
		}
		if is := got[strings.TrimSuffix("data/"+path, "/.")]; is != want {
			t.Errorf("%q: %q instead of %q", path, is, want)
		}
	}
	var below []string
	if _, err := r.List(t.Context(), second, filepath.Join(root, "media"), func(g Thing) error { below = append(below, g.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(below) == 0 || below[0] != "data/media" || slices.ContainsFunc(below, func(p string) bool { return !strings.HasPrefix(p, "data/media") }) {
		t.Error(below)
	}
	if _, err := r.List(t.Context(), "nothing", "", nil); !errors.Is(err, ErrSnapshot) {
		t.Error(err)
	}
}

// Roots are compared by their names, whichever numbers they have, and what
// comes out is in order.
func TestDiffOfOtherRoots(t *testing.T) {
	top, r := t.TempDir(), mustCreate(t, mem.New())
	for _, name := range []string{"a/x", "b/one", "b-/y", "b/one.txt", "c/z"} {
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755))
		must(os.WriteFile(filepath.Join(top, name), []byte(name), 0o600))
	}
	root := func(name string) string { return filepath.Join(top, name) }
	first := mustBackup(t, r, t.TempDir(), root("a"), root("b")).Snapshot.ID
	if err := os.WriteFile(filepath.Join(top, "b/one"), []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := mustBackup(t, r, t.TempDir(), root("b"), root("c"), root("b-")).Snapshot.ID
	var got []string
	if _, err := r.Diff(t.Context(), first, second, func(c Change) error {
		got = append(got, c.Change+c.Path)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"-a", "-a/x", "Mb/one", "+b-", "+b-/y", "+c", "+c/z"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func merged(a, b shadow) shadow {
	out := shadow{}
	for _, s := range []shadow{a, b} {
		for path, x := range s {
			out[path] = x
		}
	}
	return out
}

// Each pack belongs to one part of a check, and damage is found in its own.
func TestEveryPackIsInOnePart(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	newTree(t, root, 62)
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	flipIn(t, st, "p/")
	found := 0
	const parts = 5
	for part := range parts {
		report, err := r.Check(t.Context(), CheckOptions{ReadData: true, Part: part + 1, Parts: parts})
		if err != nil {
			t.Fatal(err)
		}
		found += min(1, len(report.Damages))
	}
	if found != 1 {
		t.Errorf("damage was found in %d parts", found)
	}
}

// flipIn changes a byte in the largest object of a prefix.
func flipIn(t *testing.T, st *mem.Store, prefix string) {
	t.Helper()
	name, size := "", int64(0)
	for o, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size > size {
			name, size = o.Name, o.Size
		}
	}
	b, err := st.Get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1
	if err := st.Delete(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := st.Put(t.Context(), name, b); err != nil {
		t.Fatal(err)
	}
}
