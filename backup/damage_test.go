package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/store"
	"strongroom/store/mem"
	"strongroom/test/soak"
)

// bent is a store in which one object is not as it was written.
type bent struct {
	store.Store
	name string
	bend func([]byte) []byte // nil: the object is missing
}

func (b *bent) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if name != b.name {
		return b.Store.Get(ctx, name, offset, length)
	}
	if b.bend == nil {
		return nil, store.ErrNotFound
	}
	whole, err := b.Store.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	whole = b.bend(slices.Clone(whole))
	whole = whole[min(int(offset), len(whole)):]
	if length >= 0 {
		whole = whole[:min(int(length), len(whole))]
	}
	return whole, nil
}

func (b *bent) Size(ctx context.Context, name string) (int64, error) {
	got, err := b.Get(ctx, name, 0, -1)
	return int64(len(got)), err
}

func (b *bent) Put(ctx context.Context, name string, data []byte) error {
	if name == b.name && b.bend != nil {
		return store.ErrExists
	}
	return b.Store.Put(ctx, name, data)
}

// small is a small repository with several snapshots, and what was in each.
type small struct {
	st      *mem.Store
	state   string
	root    string
	shadows map[string]shadow
	last    string // snapshot
	objects []store.Info
}

func makeSmall(t testing.TB) *small {
	t.Helper()
	s := &small{st: mem.New(), state: t.TempDir(), root: filepath.Join(t.TempDir(), "data"), shadows: map[string]shadow{}}
	x := &tree{t: t, root: s.root, rnd: rand.New(rand.NewPCG(5, 5))}
	x.must(os.MkdirAll(filepath.Join(s.root, "media"), 0o755))
	r := mustCreate(t, s.st)
	for i := range 2 {
		for j := range 4 {
			x.must(os.WriteFile(filepath.Join(s.root, "media", fmt.Sprintf("%d-%d", i, j)), x.bytes(2000), 0o600))
		}
		x.database(filepath.Join(s.root, "msgstore.db"))
		held := takeShadow(t, s.root)
		s.last = mustBackup(t, r, s.state, s.root).Snapshot.ID
		s.shadows[s.last] = held
	}
	for o, err := range s.st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		s.objects = append(s.objects, o)
	}
	slices.SortFunc(s.objects, func(a, b store.Info) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// tryBent checks and restores with one object bent, and proves: the object is
// named; what is restored is right; what is not is named; the second copies
// do their work.
func (s *small) tryBent(t *testing.T, b *bent, restore bool) (named bool) {
	t.Helper()
	r, err := Open(t.Context(), b, testKey)
	if err != nil {
		t.Fatalf("%s: one copy of the header is whole, but: %v", b.name, err)
	}
	report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
	if err != nil {
		t.Fatalf("%s: %v", b.name, err)
	}
	for _, d := range report.Damages {
		named = named || d.Object == b.name
	}
	if !restore {
		return named
	}
	infos, _, err := r.Snapshots(t.Context())
	if err != nil || len(infos) != len(s.shadows) {
		t.Fatalf("%s: %d snapshots, %v", b.name, len(infos), err)
	}
	for _, i := range infos {
		target := t.TempDir()
		report, err := r.Restore(t.Context(), i.ID, target, RestoreOptions{})
		lost := lostFiles(report)
		if (err != nil) != (len(lost) > 0) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %d files lost, %v", b.name, len(lost), err)
		}
		if len(lost) == len(s.shadows[i.ID]) {
			t.Fatalf("%s: everything is lost", b.name)
		}
		if d := s.shadows[i.ID].differences(takeShadow(t, filepath.Join(target, "data")), lost...); len(d) > 0 {
			t.Fatalf("%s: %v", b.name, d)
		}
		os.RemoveAll(target)
	}
	return named
}

func lostFiles(report RestoreReport) (out []string) {
	for _, d := range report.Damaged {
		for _, f := range d.Files {
			out = append(out, strings.TrimPrefix(f, "data/"))
		}
	}
	return out
}

// P14: one mutation a repository. Every object is hit, at its ends and at
// random places.
func TestDamageIsNamedAndTheRestRestores(t *testing.T) {
	s := makeSmall(t)
	mutations, restoreEvery := soak.Size(500, 10_000), 5
	if raceEnabled && !soak.Long() {
		mutations, restoreEvery = 60, 10
	}
	rnd := rand.New(rand.NewPCG(14, 1))
	for i := range mutations {
		o := s.objects[i%len(s.objects)]
		at := rnd.Int64N(o.Size)
		b := &bent{Store: s.st, name: o.Name, bend: func(b []byte) []byte { b[at] ^= 1 << rnd.IntN(8); return b }}
		switch rnd.IntN(10) {
		case 0:
			b.bend = func(b []byte) []byte { return b[:at] }
		case 1:
			b.bend = func(b []byte) []byte { return append(b, 0) }
		case 2:
			b.bend = nil
		}
		if !s.tryBent(t, b, i%restoreEvery == 0) {
			t.Fatalf("mutation %d: damage of %s at %d was not named", i, o.Name, at)
		}
	}
	soak.Tried(t, "P14", "mutations of one object each, named", mutations, mutations)
}

func TestPacksLostTakeOnlyWhatTheyHold(t *testing.T) {
	s := makeSmall(t)
	lost := 0
	for _, o := range s.objects {
		if !s.tryBent(t, &bent{Store: s.st, name: o.Name}, true) {
			t.Fatal(o.Name, "is missing and nobody says so")
		}
		if strings.HasPrefix(o.Name, "p/") {
			lost++
		}
	}
	if lost < 3 {
		t.Fatal("only", lost, "packs were tried")
	}
}

// A manifest with both copies damaged costs only its snapshot.
func TestDamagedManifestCostsOnlyItsSnapshot(t *testing.T) {
	s := makeSmall(t)
	tried := 0
	for _, o := range s.objects {
		if !strings.HasPrefix(o.Name, "m/") || !strings.HasSuffix(o.Name, "-a") {
			continue
		}
		tried++
		flip := func(b []byte) []byte { b[len(b)/2] ^= 4; return b }
		other := &bent{Store: s.st, name: strings.TrimSuffix(o.Name, "-a") + "-b", bend: flip}
		r, err := Open(t.Context(), &bent{Store: other, name: o.Name, bend: flip}, testKey)
		if err != nil {
			t.Fatal(err)
		}
		infos, damage, err := r.Snapshots(t.Context())
		if err != nil || len(infos) != len(s.shadows)-1 || len(damage) != 2 {
			t.Fatal(infos, damage, err)
		}
		target := mustRestore(t, r, infos[len(infos)-1].ID, "")
		wantSame(t, s.shadows[infos[len(infos)-1].ID], takeShadow(t, filepath.Join(target, "data")))
		newest := infos[len(infos)-1].ID != s.last
		if _, err := r.Restore(t.Context(), "latest", t.TempDir(), RestoreOptions{}); newest && !errors.Is(err, ErrDamaged) || !newest && err != nil {
			t.Fatal("an older snapshot was given for the latest:", err)
		}
	}
	if tried != len(s.shadows) {
		t.Fatal(tried, "manifests")
	}
}

// What a pack lost is sent again by the next backup, from a state that still
// believes in it.
func TestLostPackIsSentAgain(t *testing.T) {
	s := makeSmall(t)
	for _, o := range s.objects {
		if strings.HasPrefix(o.Name, "p/") {
			if err := s.st.Delete(t.Context(), o.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := Open(t.Context(), s.st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	held := takeShadow(t, s.root)
	changeSeen(t, r, s.state, func(f *seen) { f.Racy = false })
	mustBackup(t, r, s.state, s.root)
	target := mustRestore(t, r, "latest", "")
	wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
}
