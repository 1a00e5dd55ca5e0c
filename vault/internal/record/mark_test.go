package record

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"strongroom/protocol/wire"
)

// TestMarksNeverGoBack marks at random, beside an oracle that keeps the
// highest of each device and refuses by itself.
func TestMarksNeverGoBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type kept struct {
		sequence uint64
		head     byte
	}
	oracle, seen := map[byte]kept{}, map[wire.Code]int{}
	r := registered(t)
	for range 20_000 {
		device, k := byte(rng.IntN(20)), kept{1 + rng.Uint64N(60), byte(rng.IntN(2))}
		was, known := oracle[device]
		want := wire.Code("")
		switch {
		case known && k == was:
		case known && k.sequence <= was.sequence:
			want = wire.CodeStale
		case !known && len(oracle) == 16:
			want = wire.CodeMarks
		}
		before := r
		copied := append([]wire.MarkReport(nil), r.Marks...)
		after, changed, code := Mark{gen(1), [16]byte{device}, k.sequence, [32]byte{k.head}, 0}.Apply(r)
		if code != want || changed != (code == "" && k != was) || code != "" && !reflect.DeepEqual(after, before) {
			t.Fatalf("device %d, %+v over %+v: %q, want %q, changed %v", device, k, was, code, want, changed)
		}
		if !reflect.DeepEqual(copied, append([]wire.MarkReport(nil), before.Marks...)) {
			t.Fatal("a mark was changed in place")
		}
		seen[code]++
		if r = after; code == "" {
			oracle[device] = k
		}
		if rng.IntN(500) == 0 { // from time to time all begin anew
			r, oracle = registered(t), map[byte]kept{}
		}
	}
	if seen[""] < 500 || seen[wire.CodeStale] < 500 || seen[wire.CodeMarks] < 500 {
		t.Fatalf("the run did too little: %v", seen)
	}
}

func marked(t *testing.T, r Record) Record {
	t.Helper()
	r, changed, code := Mark{r.Generation, [16]byte{1}, 5, [32]byte{5}, 0}.Apply(r)
	if !changed || code != "" {
		t.Fatalf("%q", code)
	}
	return r
}

func TestWhoKeepsMarks(t *testing.T) {
	first := func(owner byte) Record { return marked(t, applied(t, Record{}, owned(1, owner, Record{}), "")) }
	replace := func(r Record, g Register) Record {
		old := r.Generation
		g.Replaces, g.Proven = &old, true
		return applied(t, r, g, "")
	}
	over := func(r Record, owner byte, proven bool) Record {
		g := owned(9, owner, r)
		g.Proven = proven
		return applied(t, r, g, "")
	}
	dead := func(r Record) Record { return destroyed(t, guesses(t, r, 10)) }
	deleted := func(r Record) Record { r, _ = Delete{Generation: r.Generation}.Apply(r, policy); return r }
	stranger := func() Record { // key 66 over the tombstone of key 1, with a mark of its own
		return marked(t, over(dead(first(1)), 66, false))
	}
	for name, c := range map[string]struct {
		r    Record
		want int
	}{
		"replaced by the owner":            {replace(first(1), owned(2, 1, first(1))), 1},
		"destroyed, then back by proof":    {over(dead(first(1)), 1, true), 1},
		"destroyed, then without a proof":  {over(dead(first(1)), 1, false), 0},
		"deleted, then back by proof":      {over(deleted(first(1)), 1, true), 0},
		"a stranger's":                     {stranger(), 1},
		"a stranger's, then the root back": {over(dead(stranger()), 1, true), 0},
	} {
		if n := len(c.r.Marks); n != c.want {
			t.Errorf("%s: %d marks, want %d", name, n, c.want)
		}
	}
	for code, r := range map[wire.Code]Record{
		wire.CodeNoRecord: {}, wire.CodeDestroyed: dead(first(1)), wire.CodeDeleted: deleted(first(1)),
	} {
		if _, changed, got := (Mark{Generation: gen(1), Sequence: 9}).Apply(r); changed || got != code {
			t.Errorf("%q, want %q", got, code)
		}
	}
	if _, _, code := (Mark{Generation: gen(7), Sequence: 9}).Apply(first(1)); code != wire.CodeGeneration {
		t.Errorf("another generation: %q", code)
	}
}
