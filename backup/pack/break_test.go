package pack

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// named tells whether the damage names exactly these objects.
func named(damage []*Damage, objects ...string) bool {
	var got []string
	for _, d := range damage {
		got = append(got, d.Object)
	}
	slices.Sort(got)
	slices.Sort(objects)
	return slices.Equal(slices.Compact(got), objects)
}

func checkAll(t testing.TB, st *memory) []*Damage {
	t.Helper()
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	damage, err := r.CheckData(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return damage
}

// TestEveryCutNamed cuts each object to nothing, by one byte, to a half, and
// lengthens it.
func TestEveryCutNamed(t *testing.T) {
	x := tiny(t)
	for _, name := range slices.Sorted(maps.Keys(x.st.data)) {
		b := x.st.data[name]
		for _, changed := range [][]byte{{}, b[:1], b[:len(b)/2], b[:len(b)-1], append(slices.Clone(b), 0)} {
			st := x.st.clone()
			st.data[name] = changed
			if damage := checkAll(t, st); !named(damage, name) {
				t.Fatalf("%s with %d of %d bytes: %v", name, len(changed), len(b), damage)
			}
			if _, entries := x.intact(t, st); entries != 0 {
				t.Fatalf("%s with %d of %d bytes: %d entries lost", name, len(changed), len(b), entries)
			}
		}
	}
}

// TestEveryLossNamed deletes each object. What nobody can know without the
// freshness mark is that the newest head is gone.
func TestEveryLossNamed(t *testing.T) {
	x := tiny(t)
	for _, name := range slices.Sorted(maps.Keys(x.st.data)) {
		st := x.st.clone()
		delete(st.data, name)
		if damage := checkAll(t, st); !named(damage, name) && !strings.HasPrefix(name, prefixHead) {
			t.Fatalf("%s deleted: %v", name, damage)
		}
		if _, entries := x.intact(t, st); entries != 0 {
			t.Fatalf("%s deleted: %d entries lost", name, entries)
		}
	}
}

// TestSwapsNamed swaps every two objects.
func TestSwapsNamed(t *testing.T) {
	x := tiny(t)
	names := slices.Sorted(maps.Keys(x.st.data))
	swaps := 0
	for i, a := range names {
		for _, b := range names[i+1:] {
			if a == headerA && b == headerB {
				continue // the same bytes
			}
			st := x.st.clone()
			st.data[a], st.data[b] = st.data[b], st.data[a]
			damage := checkAll(t, st)
			if a[:2] == prefixIndex && b[:2] == prefixPack {
				// two damages at once: what the pack held is known from
				// nowhere else, so the snapshot that needs it is named too
				damage = slices.DeleteFunc(damage, func(d *Damage) bool { return d.Object[:2] == prefixManifest })
			}
			if !named(damage, a, b) {
				t.Fatalf("%s and %s swapped: %v", a, b, damage)
			}
			swaps++
		}
	}
	if swaps < 40 {
		t.Fatalf("%d swaps", swaps)
	}
}

// TestReplayNamed stores each object under a free name of each prefix too,
// and objects of another repository with the same key in their places.
func TestReplayNamed(t *testing.T) {
	x, foreign := tiny(t), tiny(t)
	for name, b := range x.st.data {
		for _, prefix := range []string{prefixPack, prefixHead} { // objects of the others are named by heads
			st := x.st.clone()
			free := newName().under(prefix)
			st.data[free] = b
			if damage := checkAll(t, st); !named(damage, free) {
				t.Fatalf("%s as %s: %v", name, free, damage)
			}
		}
	}
	for name := range x.st.data {
		for other, b := range foreign.st.data {
			if strings.HasPrefix(name, "header") || name[:2] != other[:2] {
				continue
			}
			st := x.st.clone()
			st.data[name] = b
			if damage := checkAll(t, st); !named(damage, name) {
				t.Fatalf("a foreign %s as %s: %v", other, name, damage)
			}
		}
	}
	st := x.st.clone()
	st.data[headerA] = foreign.st.data[headerA]
	// a foreign header of the same key verifies: what it opens is nothing
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if damage, err := r.CheckStructure(t.Context()); err != nil || len(damage) == 0 {
		t.Fatalf("a foreign header: %v %v", damage, err)
	}
}

func TestWrongKey(t *testing.T) {
	x := tiny(t)
	wrong := *testKey
	wrong[31] ^= 1
	if _, err := Open(t.Context(), x.st, &wrong); !errors.Is(err, ErrWrongKey) {
		t.Fatalf("wrong key: %v", err)
	}
	if key, err := CorrectKey(t.Context(), x.st, &wrong); err != nil || key != *testKey {
		t.Fatalf("corrected: %v", err)
	}
	if _, err := Open(t.Context(), newMemory(), testKey); !errors.Is(err, ErrNoRepository) {
		t.Fatalf("empty storage: %v", err)
	}
	if _, err := Create(t.Context(), x.st, &wrong); !errors.Is(err, ErrRepository) {
		t.Fatalf("second Create: %v", err)
	}
	both := x.st.clone()
	both.data[headerA], both.data[headerB] = []byte("x"), []byte("y")
	if _, err := Open(t.Context(), both, testKey); !errors.Is(err, ErrDamaged) {
		t.Fatalf("both headers damaged: %v", err)
	}
	delete(both.data, headerA)
	if _, err := Create(t.Context(), both, testKey); !errors.Is(err, ErrRepository) {
		t.Fatalf("Create over a damaged header: %v", err)
	}
}

// TestStopAtEveryPut fails every put of a first and a second backup, once
// with nothing stored, once stored but not told, once lost with an unknown
// outcome. Afterwards each snapshot is absent or complete, nothing is
// damaged, and the next try sends no segment twice.
func TestStopAtEveryPut(t *testing.T) {
	faults := []fault{lost, landed, notLanded}
	if raceOn {
		faults = faults[:1] // all three: heavy
	}
	for _, f := range faults {
		stopped := 0
		for n := 1; ; n++ {
			st := newMemory()
			st.before = func(put int, _ string) fault {
				if put == n || f != landed && put > n {
					return f
				}
				return works
			}
			x, err := twoBackups(t.Context(), st)
			st.before = nil
			if err == nil && st.puts < n {
				break
			}
			if err == nil && f != landed {
				t.Fatalf("put %d failed and nobody said so", n)
			}
			if err != nil && f == landed {
				t.Fatalf("put %d was stored: %v", n, err)
			}
			stopped++
			x.afterStop(t, st, n)
		}
		if stopped < 15 {
			t.Fatalf("%d stops are too few", stopped)
		}
	}
}

// twoBackups makes a repository with two snapshots of the same content but
// for the database's neighbours, on any kind of failing storage.
func twoBackups(ctx context.Context, st *memory) (*example, error) {
	x := &example{st: st, content: map[ID][]byte{}}
	r, err := Create(ctx, st, testKey)
	if err != nil {
		return x, err
	}
	r.sizes.pack = 2048
	if x.head, err = x.backup(ctx, r, DeviceID{9}, nil, 1, 6, 300); err != nil {
		return x, err
	}
	x.head, err = x.backup(ctx, r, DeviceID{9}, x.head, 2, 6, 300)
	return x, err
}

func (x *example) afterStop(t *testing.T, st *memory, n int) {
	t.Helper()
	r, err := Open(t.Context(), st, testKey)
	if errors.Is(err, ErrNoRepository) {
		return
	}
	if err != nil {
		t.Fatalf("put %d: %v", n, err)
	}
	if _, there := st.data[headerB]; !there {
		if r, err = Create(t.Context(), st, testKey); err != nil {
			t.Fatalf("put %d: %v", n, err)
		}
	}
	if damage, err := r.CheckData(t.Context()); err != nil || len(damage) != 0 {
		t.Fatalf("put %d: %v %v", n, damage, err)
	}
	heads, _, err := r.LoadIndex(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.AdoptOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	var newest *HeadAt
	if len(heads) > 0 {
		newest = heads[0]
	}
	r.sizes.pack = 2048
	y := &example{st: st, content: map[ID][]byte{}}
	for _, seed := range []uint64{1, 2} {
		if newest != nil && newest.Sequence >= seed {
			continue
		}
		if newest, err = y.backup(t.Context(), r, DeviceID{9}, newest, seed, 6, 300); err != nil {
			t.Fatalf("put %d, the next try: %v", n, err)
		}
	}
	if damage := checkAll(t, st); len(damage) != 0 {
		t.Fatalf("put %d, the next try: %v", n, damage)
	}
	again, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := again.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(again.index.orphans) != 0 {
		t.Fatalf("put %d: %d packs that no index names", n, len(again.index.orphans))
	}
	for id := range again.index.ids() {
		if all := again.index.copies(id); len(all) > copies(all[0].kind) {
			t.Fatalf("put %d: a segment of kind %d is stored %d times", n, all[0].kind, len(all))
		}
	}
	if lost, entries := y.intact(t, st); len(lost)+entries != 0 && len(y.entries) > 0 {
		t.Fatalf("put %d: %d segments and %d entries lost", n, len(lost), entries)
	}
}

// TestCloneMeetsHead: a copied device writes a head with the same number.
func TestCloneMeetsHead(t *testing.T) {
	x := tiny(t)
	h := x.head.Head
	h.TimeNanos++
	if _, err := x.repo.PutHead(t.Context(), h); !errors.Is(err, ErrHeadTaken) {
		t.Fatalf("a second head at one place: %v", err)
	}
}

// TestChain keeps the last heads only, names a missing one between others,
// and serves the newest that opens.
func TestChain(t *testing.T) {
	x := tiny(t)
	prev := x.head
	var all []*HeadAt
	for range 12 {
		h := prev.Head
		h.Sequence, h.Parent = prev.Sequence+1, prev.Hash
		var err error
		if prev, err = x.repo.PutHead(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if err := x.repo.DropOldHeads(t.Context(), prev); err != nil {
			t.Fatal(err)
		}
		all = append(all, prev)
	}
	heads, damage, err := x.repo.Heads(t.Context())
	if err != nil || len(damage) != 0 || len(heads) != 1 || heads[0].Sequence != 13 {
		t.Fatalf("%v %v", damage, err)
	}
	n := 0
	for name := range x.st.data {
		if strings.HasPrefix(name, prefixHead) {
			n++
		}
	}
	if n != headsKept {
		t.Fatalf("%d heads kept", n)
	}
	middle := all[8].Name.under(prefixHead)
	delete(x.st.data, middle)
	if heads, damage, err = x.repo.Heads(t.Context()); err != nil || !named(damage, middle) || heads[0].Sequence != 13 {
		t.Fatalf("a head missing: %v %v", damage, err)
	}
	newest := prev.Name.under(prefixHead)
	x.st.data[newest][100] ^= 1
	if heads, damage, err = x.repo.Heads(t.Context()); err != nil || !named(damage, middle, newest) || heads[0].Sequence != 12 {
		t.Fatalf("the newest damaged: %v %v", damage, err)
	}
}

// TestForkedChain: a head whose successor names another hash.
func TestForkedChain(t *testing.T) {
	x := tiny(t)
	h := x.head.Head
	h.Sequence, h.Parent = 2, [32]byte{1}
	if _, err := x.repo.PutHead(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if damage := checkAll(t, x.st); !named(damage, x.head.Name.under(prefixHead)) {
		t.Fatal(damage)
	}
}

// TestOneRequestAPack: reading all costs about one request a pack.
func TestOneRequestAPack(t *testing.T) {
	x := makeExample(t, newMemory(), 200, 200<<10, 0)
	r, err := Open(t.Context(), x.st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := x.st.gets
	if err := r.ReadAll(t.Context(), slices.Collect(maps.Keys(x.content)), func(ID, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	gets, packs := x.st.gets-before, len(r.index.packs)
	if packs < 3 || gets*10 > packs*12 {
		t.Fatalf("%d requests for %d packs", gets, packs)
	}
	for name, b := range x.st.data {
		if strings.HasPrefix(name, prefixPack) && len(b) > packBytesMax {
			t.Fatalf("%s has %d bytes", name, len(b))
		}
	}
}

// TestWrongIDFound: a caller's wrong id ends the writer before anything
// leaves.
func TestWrongIDFound(t *testing.T) {
	x := tiny(t)
	puts := x.st.puts
	w := x.repo.NewWriter(t.Context())
	defer w.Close()
	if _, err := w.Add(KindFile, ID{1, 2, 3}, []byte("not this")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); !errors.Is(err, ErrSelfCheck) {
		t.Fatalf("a wrong id: %v", err)
	}
	if x.st.puts != puts {
		t.Fatal("it left the machine")
	}
	if _, err := w.Add(KindFile, ID{1}, nil); err == nil {
		t.Fatal("a dead writer takes segments")
	}
}
