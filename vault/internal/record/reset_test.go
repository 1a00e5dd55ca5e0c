package record

import (
	"reflect"
	"testing"

	"strongroom/protocol/wire"
)

const resetMillis = 200_000

var patient = Policy{Attempts: 10, TicketMillis: 120_000, Lifetime: 100, ResetMillis: resetMillis}

// proof is any proof of the owner: what waits is void.
func (w *world) proof() { w.asked = map[wire.Generation]uint64{} }

func (w *world) mature() {
	live, due := w.r.live(), w.r.Pending.DueMillis
	after, changed := Mature{DueMillis: due, NowMillis: w.now}.Apply(w.r, w.policy)
	w.r = after
	if !changed {
		return
	}
	if w.matured++; live {
		w.root = w.r.Keys.Owner // nobody objected
	} else {
		w.wrong = 0
	}
}

// checkTaken is the oracle of the resets: a generation that was live gives
// way only to its owner's signature, or to one that was asked for long enough
// ago, with no proof since.
func (w *world) checkTaken(t *testing.T, seed uint64, before Record) {
	t.Helper()
	if !before.live() || before.Generation == w.r.Generation || w.signed {
		return
	}
	since, asked := w.asked[w.r.Generation]
	if !asked || w.now <= since+resetMillis {
		t.Fatalf("seed %d: at %d generation %v took the place of a live one; asked for: %v, at %d", seed, w.now, w.r.Generation, asked, since)
	}
	if before.spent() != w.r.spent() || before.wrongEver() != w.r.wrongEver() {
		t.Fatalf("seed %d: a reset forgave: %d spent became %d", seed, before.spent(), w.r.spent())
	}
}

// waiting is a record of owner 1, seven guesses spent, for which owner 2 asked
// for a reset at 1000.
func waiting(t *testing.T) (Record, Register) {
	t.Helper()
	r := marked(t, applied(t, Record{}, owned(1, 1, Record{}), ""))
	r = guesses(t, r, 7)
	old := r.Generation
	g := owned(2, 2, r)
	g.Replaces, g.Reset, g.NowMillis = &old, true, 1000
	r, code := g.Apply(r, patient)
	if code != "" || r.Generation != gen(1) || r.Keys.Owner != [32]byte{1} {
		t.Fatalf("%q %+v", code, r)
	}
	s := r.Status(patient, 0)
	if s.Pending == nil || s.Pending.AtMillis != 1000+resetMillis || *s.Pending.Generation != gen(2) || s.Resets != 1 || s.Left != 3 || s.State != wire.StateLive {
		t.Fatalf("%+v", s)
	}
	return r, g
}

func matured(t *testing.T, r Record, now uint64, want bool) Record {
	t.Helper()
	due := uint64(0)
	if r.Pending != nil {
		due = r.Pending.DueMillis
	}
	after, changed := Mature{DueMillis: due, NowMillis: now}.Apply(r, patient)
	if changed != want || !changed && !reflect.DeepEqual(after, r) {
		t.Fatalf("at %d: changed %v, want %v", now, changed, want)
	}
	return after
}

func TestResetWaitsAndCarriesOver(t *testing.T) {
	const due = 1000 + resetMillis
	r, _ := waiting(t)
	matured(t, r, due, false)
	r, v := Debit{Generation: gen(1), Slot: 8, KE1: ke1(8), NowMillis: due - 1}.Apply(r, patient) // the old one is usable
	if v.Refused != "" {
		t.Fatal(v.Refused)
	}
	matured(t, r, due+1, false) // an attempt is open
	matured(t, r, due-1+120_000, false)
	r = matured(t, r, due+120_000, true)
	s := r.Status(patient, 0)
	if r.Generation != gen(2) || s.State != wire.StateLive || s.Left != 2 || s.Wrong != 8 || s.WrongEver != 8 || s.Pending != nil || s.Resets != 1 || s.Marks != nil {
		t.Fatalf("%+v", s)
	}
	if _, v := (Debit{Generation: gen(2), Slot: 8, KE1: ke1(8), NowMillis: due + 120_000}).Apply(r, patient); v.Refused != wire.CodeSlot {
		t.Fatalf("a retry crossed into the new generation: %q", v.Refused)
	}
	if _, code := (Refill{Generation: gen(1), Slot: 8}).Apply(r, patient); code != wire.CodeGeneration {
		t.Fatalf("the old generation's proof: %q", code)
	}
}

// Every proof stops it, and what began before can not be brought back.
func TestProofStopsAReset(t *testing.T) {
	old := gen(1)
	for name, proof := range map[string]func(Record) (Record, wire.Code){
		"password": func(r Record) (Record, wire.Code) { return Refill{gen(1), 7, 0}.Apply(r, patient) },
		"mark": func(r Record) (Record, wire.Code) {
			r, _, c := Mark{gen(1), [16]byte{1}, 6, [32]byte{}, 0}.Apply(r)
			return r, c
		},
		"new mark": func(r Record) (Record, wire.Code) {
			r, _, c := Mark{gen(1), [16]byte{9}, 6, [32]byte{}, 0}.Apply(r)
			return r, c
		},
		"cancel": func(r Record) (Record, wire.Code) { return Cancel{gen(1), r.Pending.DueMillis, 0}.Apply(r) },
		"delete": func(r Record) (Record, wire.Code) { return Delete{Generation: gen(1)}.Apply(r, patient) },
		"replace": func(r Record) (Record, wire.Code) {
			g := owned(3, 1, r)
			g.Replaces, g.Proven = &old, true
			return g.Apply(r, patient)
		},
	} {
		r, g := waiting(t)
		after, code := proof(r)
		if code != "" || after.Pending != nil || after.Resets != 1 {
			t.Fatalf("%s: %q, %+v", name, code, after.Pending)
		}
		matured(t, after, 1<<40, false)
		g.NowMillis = 1 << 40
		if again, code := g.Apply(after, patient); code != wire.CodeReplaces || again.Pending != nil {
			t.Fatalf("%s: the same reset again: %q", name, code)
		}
	}
}

func TestWhatStopsNoReset(t *testing.T) {
	r, g := waiting(t)
	for name, apply := range map[string]func() (Record, wire.Code){
		"a stale mark": func() (Record, wire.Code) {
			a, _, c := Mark{gen(1), [16]byte{1}, 4, [32]byte{}, 0}.Apply(r)
			return a, c
		},
		"the same mark": func() (Record, wire.Code) {
			a, _, c := Mark{gen(1), [16]byte{1}, 5, [32]byte{5}, 0}.Apply(r)
			return a, c
		},
		"a cancel of an older one": func() (Record, wire.Code) { return Cancel{gen(1), 5, 0}.Apply(r) },
		"a cancel of a generation": func() (Record, wire.Code) { return Cancel{gen(2), r.Pending.DueMillis, 0}.Apply(r) },
		"a deletion without proof": func() (Record, wire.Code) {
			return Delete{Generation: gen(1), Later: true, NowMillis: 7}.Apply(r, patient)
		},
		"a retry, later": func() (Record, wire.Code) { l := g; l.NowMillis = 9999; return l.Apply(r, patient) },
		"a second reset": func() (Record, wire.Code) {
			s := owned(3, 3, r)
			s.Replaces, s.Reset = g.Replaces, true
			return s.Apply(r, patient)
		},
		"a first one, without word": func() (Record, wire.Code) { s := owned(3, 3, r); s.Replaces = g.Replaces; return s.Apply(r, patient) },
	} {
		after, code := apply()
		if (code == "") != (name == "a retry, later" || name == "the same mark") || !reflect.DeepEqual(after, r) {
			t.Errorf("%s: %q, %+v", name, code, after)
		}
	}
	if _, changed := (Mature{DueMillis: 7, NowMillis: 1 << 40}).Apply(r, patient); changed {
		t.Error("matured by another's word")
	}
	none := patient
	none.ResetMillis = 0
	r.Pending = nil
	g.Changes = r.Changes
	if _, code := g.Apply(r, none); code != wire.CodeOwner {
		t.Errorf("a fleet without resets: %q", code)
	}
	if _, code := (Delete{Generation: gen(1), Later: true}).Apply(r, none); code != wire.CodeOwner {
		t.Errorf("a fleet without resets, delete: %q", code)
	}
}

func TestDeletionWithoutProofWaits(t *testing.T) {
	r := applied(t, Record{}, owned(1, 1, Record{}), "")
	r, code := Delete{Generation: gen(1), Later: true, NowMillis: 1000}.Apply(r, patient)
	if s := r.Status(patient, 0); code != "" || s.State != wire.StateLive || s.Pending == nil || s.Pending.Generation != nil || s.Pending.AtMillis != 1000+resetMillis {
		t.Fatalf("%q %+v", code, s)
	}
	again, code := Delete{Generation: gen(1), Later: true, NowMillis: 9000}.Apply(r, patient)
	if code != "" || !reflect.DeepEqual(again, r) {
		t.Fatalf("a retry: %q", code)
	}
	r = matured(t, r, 1001+resetMillis, true)
	if r.State != wire.StateDeleted || r.Keys != nil || r.Pending != nil {
		t.Fatalf("%+v", r)
	}
}

// The record is destroyed while a reset waits: the reset is then no more than
// a registration over a tombstone, in its time.
func TestDestroyedWhileAResetWaits(t *testing.T) {
	r, _ := waiting(t)
	r = guesses(t, r, 3)
	matured(t, r, 1<<40, false) // exhausted: the destruction comes first
	r = destroyed(t, r)
	if at, found := r.DueMillis(); !found || at != 1000+resetMillis {
		t.Fatalf("due %d, %v", at, found)
	}
	r = matured(t, r, 1<<40, true)
	if s := r.Status(patient, 0); r.Generation != gen(2) || s.Left != 10 || s.WrongEver != 10 || r.Root != [32]byte{1} {
		t.Fatalf("%+v", s)
	}
	// A deletion that waited has nothing left to delete.
	r = applied(t, Record{}, owned(1, 1, Record{}), "")
	r, _ = Delete{Generation: gen(1), Later: true, NowMillis: 1000}.Apply(r, patient)
	if r = destroyed(t, guesses(t, r, 10)); r.Pending != nil || r.State != wire.StateDestroyed {
		t.Fatalf("%+v", r)
	}
}
