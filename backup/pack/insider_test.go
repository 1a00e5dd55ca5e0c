package pack

import (
	"errors"
	"testing"
)

// replaced seals body as the object called name with the repository's own
// key: what a device of the person's own, taken over, can do.
func (x *example) replaced(t *testing.T, name string, body []byte) *memory {
	t.Helper()
	b, err := x.repo.keys.Object(name, body)
	if err != nil {
		t.Fatal(err)
	}
	st := x.st.clone()
	st.data[name] = b
	return st
}

// TestAuthenticButNotTheOne: an index, a manifest or a head that opens, and
// is not the one that is named there.
func TestAuthenticButNotTheOne(t *testing.T) {
	x := tiny(t)
	index := x.head.Indexes[0].Name.under(prefixIndex)
	manifest := x.head.Snapshots[0].Manifest.under(prefixManifest) + copyA
	m, err := x.repo.Manifest(t.Context(), x.head.Snapshots[0])
	if err != nil {
		t.Fatal(err)
	}
	m.Host = "another"
	second := x.head.Head
	second.Sequence, second.Parent = 2, x.head.Hash
	elsewhere := newName().under(prefixHead)
	for name, body := range map[string][]byte{index: encode(indexObject{Version: indexVersion}), manifest: encode(m), elsewhere: encode(second)} {
		st := x.replaced(t, name, body)
		if damage := checkAll(t, st); !named(damage, name) {
			t.Fatalf("%s: %v", name, damage)
		}
		if lost, entries := x.intact(t, st); len(lost)+entries != 0 {
			t.Fatalf("%s: %d segments and %d entries lost", name, len(lost), entries)
		}
	}
}

// TestStructureSeesSizes: a cut pack is named without reading packs, and its
// segments are not taken for stored.
func TestStructureSeesSizes(t *testing.T) {
	x := tiny(t)
	for id := range x.repo.index.ids() {
		p, _ := x.repo.index.place(id)
		name := p.pack.name.under(prefixPack)
		st := x.st.clone()
		st.data[name] = st.data[name][:len(st.data[name])-1]
		r, err := Open(t.Context(), st, testKey)
		if err != nil {
			t.Fatal(err)
		}
		damage, err := r.CheckStructure(t.Context())
		if err != nil || !named(damage, name) {
			t.Fatalf("%v %v", damage, err)
		}
		if r.Has(id) && len(x.repo.index.copies(id)) == 1 {
			t.Fatal("a segment of a cut pack is taken for stored")
		}
	}
}

// TestCreateGoesOn: the next Create completes one that stopped between the
// headers, with the same key only.
func TestCreateGoesOn(t *testing.T) {
	x := tiny(t)
	st := x.st.clone()
	delete(st.data, headerB)
	other := *testKey
	other[0]++
	if _, err := Create(t.Context(), st, &other); !errors.Is(err, ErrRepository) {
		t.Fatalf("another key: %v", err)
	}
	r, err := Create(t.Context(), st, testKey)
	if err != nil || r.ID() != x.repo.ID() {
		t.Fatalf("the same key: %v", err)
	}
	if damage := checkAll(t, st); len(damage) != 0 {
		t.Fatal(damage)
	}
}

// TestUnknownEntryCostsItself: an entry from the future among others.
func TestUnknownEntryCostsItself(t *testing.T) {
	x := tiny(t)
	w := x.repo.NewWriter(t.Context())
	defer w.Close()
	dir := &Entry{Kind: EntryDir, Path: "a"}
	file := &Entry{Kind: EntryFile, Path: "c", Size: 0, Content: &Refs{}}
	db := &Entry{Kind: EntryDatabase, Path: "b", Size: 512, Database: &Database{PageBytes: 512, Pages: 1, Layers: []Layer{{Coding: CodingDifference + 1}}}}
	list := appendEntry(appendEntry(appendEntry(nil, dir), db), file)
	ids, err := w.AddBytes(KindList, list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = x.repo.Entries(t.Context(), &Manifest{Lists: ids}, func(e *Entry) error {
		got = append(got, e.Path)
		return nil
	})
	var u *UnknownEntry
	if !errors.Is(err, ErrUnknownKind) || !errors.As(err, &u) || u.Path != "b" || len(got) != 2 {
		t.Fatalf("%v, given %v", err, got)
	}
	if err := (&List{w: w}).Add(db); !errors.Is(err, ErrUnknownKind) {
		t.Fatalf("written: %v", err)
	}
}
