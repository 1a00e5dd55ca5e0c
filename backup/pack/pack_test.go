package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

var testKey = &[32]byte{1, 2, 3, 4, 5}

// example is a repository with one snapshot and what is in it, remembered
// apart from it.
type example struct {
	st      *memory
	repo    *Repo
	head    *HeadAt
	entries []*Entry
	content map[ID][]byte
	runs    []Run
}

// makeExample backs up some files and a database into st. packBytes 0 is the
// usual size.
func makeExample(t testing.TB, st *memory, files, fileBytes, packBytes int) *example {
	t.Helper()
	r, err := Create(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if packBytes != 0 {
		r.sizes.pack = packBytes
	}
	x := &example{st: st, repo: r, content: map[ID][]byte{}}
	x.head, err = x.backup(t.Context(), r, DeviceID{9}, nil, 1, files, fileBytes)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// backup writes files and a database made from seed, and a head after prev.
func (x *example) backup(ctx context.Context, r *Repo, dev DeviceID, prev *HeadAt, seed uint64, files, fileBytes int) (*HeadAt, error) {
	w := r.NewWriter(ctx)
	defer w.Close()
	rnd := rand.New(rand.NewPCG(seed, 2))
	add := func(kind Kind, b []byte) (ID, error) {
		id := r.SegmentID(kind, b)
		x.content[id] = b
		_, err := w.Add(kind, id, b)
		return id, err
	}
	x.entries = nil
	list := w.NewList()
	for i := range files {
		b := make([]byte, fileBytes)
		for j := range b {
			b[j] = byte(rnd.Uint32()) >> (4 * (i % 2)) // every second one can be compressed
		}
		id, err := add(KindFile, b)
		if err != nil {
			return nil, err
		}
		refs, err := w.AddRefs([]ID{id})
		if err != nil {
			return nil, err
		}
		e := &Entry{Kind: EntryFile, Path: fmt.Sprintf("media/%06d", i), Mode: 0o600, ModNanos: int64(i), Size: int64(len(b)), Content: &refs}
		x.entries = append(x.entries, e)
	}
	e, err := x.database(r, w, add)
	if err != nil {
		return nil, err
	}
	x.entries = append(x.entries, e)
	for _, e := range x.entries {
		if err := list.Add(e); err != nil {
			return nil, err
		}
	}
	m := &Manifest{Snapshot: SnapshotID{byte(seed)}, TimeNanos: int64(seed), Host: "phone", Device: dev, Roots: []string{"/data"}}
	if err := list.Finish(m); err != nil {
		return nil, err
	}
	res, err := w.Finish()
	if err != nil {
		return nil, err
	}
	ref, err := r.PutManifest(ctx, m)
	if err != nil {
		return nil, err
	}
	h := Head{Device: dev, Sequence: 1, TimeNanos: int64(seed), Indexes: res.Indexes}
	if prev != nil {
		h.Sequence, h.Parent, h.Snapshots = prev.Sequence+1, prev.Hash, append(h.Snapshots, prev.Snapshots...)
	}
	h.Snapshots = append(h.Snapshots, ref)
	return r.PutHead(ctx, h)
}

// database is a database of 6 pages, of which page 3 is the lock page.
func (x *example) database(r *Repo, w *Writer, add func(Kind, []byte) (ID, error)) (*Entry, error) {
	x.runs = []Run{{1, 2}, {4, 3}}
	var pages, hashes []byte
	for i := range 5 {
		page := bytes.Repeat([]byte{byte(i + 1)}, 512)
		sum := r.PageHash(page)
		pages, hashes = append(pages, page...), append(hashes, sum[:]...)
	}
	l := Layer{Pages: 5}
	for _, part := range []struct {
		kind Kind
		b    []byte
		refs *Refs
	}{{KindRuns, AppendRuns(nil, x.runs), &l.Runs}, {KindPages, pages, &l.Groups}, {KindPageHash, hashes, &l.Hashes}} {
		id, err := add(part.kind, part.b)
		if err != nil {
			return nil, err
		}
		if *part.refs, err = w.AddRefs([]ID{id}); err != nil {
			return nil, err
		}
	}
	db := &Database{PageBytes: 512, Pages: 6, Layers: []Layer{l}}
	return &Entry{Kind: EntryDatabase, Path: "msgstore.db", Mode: 0o600, Size: 6 * 512, Database: db}, nil
}

// intact reads everything by a fresh Open and compares it with what was
// written: which segments are lost, and whether entries are.
func (x *example) intact(t testing.TB, st *memory) (lostSegments []ID, entriesLost int) {
	t.Helper()
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	snaps, _, err := r.Snapshots(t.Context())
	if err != nil || len(snaps) == 0 {
		t.Fatalf("no snapshot: %v", err)
	}
	if _, _, err := r.LoadIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := r.Manifest(t.Context(), snaps[len(snaps)-1])
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = r.Entries(t.Context(), m, func(e *Entry) error {
		found[e.Path] = string(encode(e))
		return nil
	})
	for _, e := range x.entries {
		if found[e.Path] != string(encode(e)) {
			entriesLost++
		}
	}
	if entriesLost == 0 && err != nil {
		t.Fatal(err)
	}
	var want []ID
	for id := range x.content {
		want = append(want, id)
	}
	got := map[ID]bool{}
	var mu sync.Mutex
	err = r.ReadAll(t.Context(), want, func(id ID, plain []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if got[id] {
			return errors.New("given twice")
		}
		got[id] = bytes.Equal(plain, x.content[id])
		return nil
	})
	for _, id := range want {
		if !got[id] {
			lostSegments = append(lostSegments, id)
		}
	}
	if (err == nil) != (len(lostSegments) == 0) {
		t.Fatalf("%d segments lost, error %v", len(lostSegments), err)
	}
	return lostSegments, entriesLost
}

func TestBackupAndBack(t *testing.T) {
	x := makeExample(t, newMemory(), 40, 300<<10, 0)
	damage, err := x.repo.CheckData(t.Context())
	if err != nil || len(damage) != 0 {
		t.Fatalf("check: %v %v", damage, err)
	}
	if lost, entries := x.intact(t, x.st); len(lost) != 0 || entries != 0 {
		t.Fatalf("lost %d segments, %d entries", len(lost), entries)
	}
}
