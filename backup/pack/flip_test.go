package pack

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// tiny makes a repository of at most 64 KiB with several packs.
func tiny(t testing.TB) *example {
	x := makeExample(t, newMemory(), 12, 300, 2048)
	total := 0
	for _, b := range x.st.data {
		total += len(b)
	}
	if total > 64<<10 {
		t.Fatalf("%d bytes are too many to flip them all", total)
	}
	packs := 0
	for name := range x.st.data {
		if strings.HasPrefix(name, prefixPack) {
			packs++
		}
	}
	if packs < 3 {
		t.Fatalf("%d packs are too few", packs)
	}
	return x
}

// regions tells, from the undamaged repository, which segments lie at each
// byte of each pack. A segment that has another copy is not listed: no single
// flip may lose it.
func regions(x *example) map[string]map[int]ID {
	out := map[string]map[int]ID{}
	for id := range x.repo.index.ids() {
		p, _ := x.repo.index.place(id)
		if len(x.repo.index.copies(id)) > 1 {
			continue
		}
		name := p.pack.name.under(prefixPack)
		if out[name] == nil {
			out[name] = map[int]ID{}
		}
		for i := p.offset; i < p.offset+p.sealed; i++ {
			out[name][int(i)] = id
		}
	}
	return out
}

// TestEveryByteFlipped flips every byte of a repository in turn: each flip is
// found and its object named, no entry is lost, and no segment but the one
// that the byte belongs to.
func TestEveryByteFlipped(t *testing.T) {
	if raceOn {
		t.Log("not under the race detector: heavy")
		return
	}
	x := tiny(t)
	at := regions(x)
	flips := 0
	for _, name := range slices.Sorted(maps.Keys(x.st.data)) {
		for i := range x.st.data[name] {
			st := x.st.clone()
			b := slices.Clone(st.data[name])
			b[i] ^= 1 << (i % 8)
			st.data[name] = b
			x.checkFlip(t, st, name, i, at[name])
			flips++
		}
	}
	t.Logf("%d flips of %d objects, each found and named", flips, len(x.st.data))
}

func (x *example) checkFlip(t *testing.T, st *memory, name string, i int, at map[int]ID) {
	t.Helper()
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatalf("%s byte %d: %v", name, i, err)
	}
	damage, err := r.CheckData(t.Context())
	if err != nil {
		t.Fatalf("%s byte %d: %v", name, i, err)
	}
	if len(damage) == 0 || slices.ContainsFunc(damage, func(d *Damage) bool { return d.Object != name }) {
		t.Fatalf("%s byte %d: damage named: %v", name, i, damage)
	}
	lost, entries := x.intact(t, st)
	if entries != 0 {
		t.Fatalf("%s byte %d: %d entries lost", name, i, entries)
	}
	id, one := at[i]
	if one && !(len(lost) == 1 && lost[0] == id) || !one && len(lost) != 0 {
		t.Fatalf("%s byte %d: lost %x, want %x", name, i, lost, id)
	}
}
