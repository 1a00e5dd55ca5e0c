package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"strongroom/backup/pack"
)

// world is the test's own idea of a repository: what each segment holds, and
// what each page of the database is now.
type world struct {
	segments map[pack.ID][]uint64 // a page is a number here
	leans    map[pack.ID][]uint64 // of differences: what its pages were
	pages    []uint64
	stored   map[uint32]uint64 // what the last backup saw
	next     uint64
	differ   int // of ten changed pages, so many are stored as differences
}

// differenceBytes is what a group of differences takes.
func differenceBytes(pages int) int { return pages * testPageBytes / 8 }

func (w *world) newID() (id pack.ID) {
	w.next++
	binary.LittleEndian.PutUint64(id[:], w.next)
	return id
}

// differences stores some pages as differences, in an order of their own, and
// gives the others.
func (w *world) differences(t *testing.T, m *Image, rnd *rand.Rand, changed []uint32) (whole []uint32) {
	t.Helper()
	var some []uint32
	for _, p := range changed {
		if _, ok := m.Hash(p); ok && rnd.IntN(10) < w.differ {
			some = append(some, p)
		} else {
			whole = append(whole, p)
		}
	}
	if !m.TakesDifferences() {
		return changed
	}
	m.StartDifferences()
	rnd.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for len(some) > 0 {
		group := slices.Clone(some[:min(1+rnd.IntN(6), len(some))])
		some = some[len(group):]
		slices.Sort(group)
		id := w.newID()
		var hashes []Hash
		for _, p := range group {
			w.segments[id] = append(w.segments[id], w.pages[p-1])
			w.leans[id] = append(w.leans[id], w.stored[p])
			hashes = append(hashes, hashOf(w.pages[p-1]))
		}
		if err := m.AddDifference(id, differenceBytes(len(group)), group, hashes); err != nil {
			t.Fatal(err)
		}
	}
	return whole
}

const testPageBytes = 65536 // 16 pages a group

func hashOf(page uint64) (h Hash) {
	binary.BigEndian.PutUint64(h[:], page)
	return h
}

func (w *world) edit(rnd *rand.Rand) {
	switch rnd.IntN(6) {
	case 0:
		w.pages = w.pages[:len(w.pages)-rnd.IntN(len(w.pages)/8+1)]
	case 1:
		for range rnd.IntN(200) {
			w.next++
			w.pages = append(w.pages, w.next)
		}
	}
	hot := max(1, len(w.pages)/10)
	for range rnd.IntN(100) {
		w.next++
		w.pages[rnd.IntN(hot)] = w.next
	}
	for range rnd.IntN(30) {
		w.next++
		w.pages[rnd.IntN(len(w.pages))] = w.next
	}
}

// backup does what the loop does; it gives how many pages were stored.
func (w *world) backup(t *testing.T, m *Image, rnd *rand.Rand) (stored int) {
	t.Helper()
	m.Resize(uint32(len(w.pages)))
	add := func(numbers []uint32) {
		m.StartLayer()
		for len(numbers) > 0 {
			n := min(len(numbers), m.GroupPages())
			var content []uint64
			var hashes []Hash
			for _, p := range numbers[:n] {
				content = append(content, w.pages[p-1])
				hashes = append(hashes, hashOf(w.pages[p-1]))
			}
			id := w.newID()
			w.segments[id] = content
			if err := m.AddGroup(id, numbers[:n], hashes); err != nil {
				t.Fatal(err)
			}
			stored += n
			numbers = numbers[n:]
		}
	}
	var changed []uint32
	for i, p := range w.pages {
		if h, ok := m.Hash(uint32(i + 1)); !ok || h != hashOf(p) {
			changed = append(changed, uint32(i+1))
		}
	}
	anew := !m.TakesDifferences()
	add(w.differences(t, m, rnd, changed))
	add(m.Stale(anew))
	m.Trim()
	w.stored = map[uint32]uint64{}
	for i, p := range w.pages {
		w.stored[uint32(i+1)] = p
	}
	return stored
}

// restore reads the database back from what the image stores, as a restore
// does: level after level, each in any order.
func (w *world) restore(t *testing.T, m *Image, rnd *rand.Rand) {
	t.Helper()
	var groups []Group
	if err := m.Groups(func(g Group) error { groups = append(groups, g); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, g := range groups {
		for _, on := range g.On {
			if on >= i || groups[on].Level >= g.Level {
				t.Fatalf("group %d of level %d leans on group %d of level %d", i, g.Level, on, groups[on].Level)
			}
		}
	}
	rnd.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	slices.SortStableFunc(groups, func(a, b Group) int { return a.Level - b.Level })
	got, kept := make([]uint64, m.Pages), map[int]uint64{}
	read, levels := 0, 0
	for _, g := range groups {
		read += m.weight(group{end: len(g.Pages)})
		if g.Bases != nil {
			read += m.weight(group{bytes: differenceBytes(len(g.Pages)), bases: []uint32{}}) - len(g.Pages)
		}
		levels = max(levels, g.Level)
		for i, p := range g.Pages {
			if g.Bases != nil && kept[g.Bases[i]] != w.leans[g.ID][i] {
				t.Fatalf("page %d of a difference leans on %d instead of %d", p, kept[g.Bases[i]], w.leans[g.ID][i])
			}
			if g.Live[i] {
				got[p-1] = w.segments[g.ID][i]
			}
			if g.Keep != nil && g.Keep[i] >= 0 {
				kept[g.Keep[i]] = w.segments[g.ID][i]
			}
		}
	}
	for i, p := range w.pages {
		if got[i] != p {
			t.Fatalf("page %d is %d instead of %d", i+1, got[i], p)
		}
	}
	if len(got) != len(w.pages) || !m.Whole() {
		t.Fatalf("%d pages instead of %d", len(got), len(w.pages))
	}
	if read*100 > len(w.pages)*130 || read != m.ReadPages() {
		t.Fatalf("a restore reads %d pages of a database of %d; said were %d", read, len(w.pages), m.ReadPages())
	}
	if levels > differencesMax || len(m.layers) > layersMax+3*differencesMax+2 {
		t.Fatalf("%d levels, %d layers", levels, len(m.layers))
	}
}

// throughRepository takes the image through its form in a repository.
func (w *world) throughRepository(t *testing.T, m *Image) *Image {
	t.Helper()
	out := NewImage(m.PageBytes, m.Pages)
	for _, l := range m.Layers() {
		var err error
		if l.Coding == pack.CodingDifference {
			l.Runs, err = pack.ParseGroupRuns(pack.AppendGroupRuns(nil, l.Runs), l.Pages)
		} else {
			l.Runs[0], err = pack.ParseRuns(pack.AppendRuns(nil, l.Runs[0]), l.Pages)
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes := func(id pack.ID) (int, bool) {
			if w.leans[id] != nil {
				return differenceBytes(len(w.leans[id])), true
			}
			return len(w.segments[id]) * testPageBytes, w.segments[id] != nil
		}
		if err := out.AddStored(l, sizes); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(out.Bytes(), m.Bytes()) {
		t.Fatal("an image is not what its layers say")
	}
	return out
}

func newWorld(pages, differ int) *world {
	w := &world{segments: map[pack.ID][]uint64{}, leans: map[pack.ID][]uint64{}, pages: make([]uint64, pages), differ: differ}
	for i := range w.pages {
		w.next++
		w.pages[i] = w.next
	}
	return w
}

func TestImageIsTheDatabase(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(500, int(seed%4)*3)
		m := NewImage(testPageBytes, 0)
		stored, rounds := 0, 100
		for round := range rounds {
			if round > 0 {
				w.edit(rnd)
			}
			stored += w.backup(t, m, rnd)
			w.restore(t, m, rnd)
			switch rnd.IntN(3) {
			case 0:
				m = w.throughRepository(t, m)
			case 1:
				parsed, err := ParseImage(m.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(parsed.Bytes(), m.Bytes()) {
					t.Fatal("an image is not what its bytes say")
				}
				m = parsed
			}
			w.restore(t, m, rnd)
		}
		if n := w.backup(t, m, rnd); n != 0 && m.TakesDifferences() {
			t.Fatalf("an unchanged database stored %d pages", n)
		}
		t.Logf("seed %d: %d pages, %d stored whole a round, %d layers", seed, len(w.pages), stored/rounds, len(m.layers))
	}
}

func TestForgottenGroupsAreStoredAgain(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for _, differ := range []int{0, 7} {
		w := newWorld(300, differ)
		m := NewImage(testPageBytes, 0)
		for range 12 {
			w.edit(rnd)
			w.backup(t, m, rnd)
			forgotten := 0
			m.Forget(func(id pack.ID) bool {
				if rnd.IntN(4) > 0 {
					return true
				}
				forgotten++
				delete(w.segments, id)
				return false
			})
			if stored := w.backup(t, m, rnd); forgotten > 0 && stored == 0 {
				t.Fatal("nothing was stored again")
			}
			w.restore(t, m, rnd)
		}
	}
}

func TestAddDifferenceRefuses(t *testing.T) {
	m := NewImage(testPageBytes, 10)
	m.StartLayer()
	if err := m.AddGroup(pack.ID{1}, []uint32{1, 2, 3}, make([]Hash, 3)); err != nil {
		t.Fatal(err)
	}
	if err := m.AddDifference(pack.ID{2}, 9, []uint32{1}, make([]Hash, 1)); !errors.Is(err, ErrImage) {
		t.Error("a difference in a layer of whole pages:", err)
	}
	m.StartDifferences()
	if err := m.AddGroup(pack.ID{2}, []uint32{4}, make([]Hash, 1)); !errors.Is(err, ErrImage) {
		t.Error("whole pages in a layer of differences:", err)
	}
	if err := m.AddDifference(pack.ID{2}, 9, []uint32{2, 3}, make([]Hash, 2)); err != nil {
		t.Fatal(err)
	}
	for what, pages := range map[string][]uint32{"leans on nothing": {7}, "leans on its own layer": {2}, "does not ascend": {3, 1}, "page 0": {0}, "no page": {}} {
		if err := m.AddDifference(pack.ID{3}, 9, pages, make([]Hash, len(pages))); !errors.Is(err, ErrImage) {
			t.Error(what, err)
		}
	}
}

func TestAddGroupRefuses(t *testing.T) {
	m := NewImage(testPageBytes, 10)
	if err := m.AddGroup(pack.ID{}, []uint32{1}, make([]Hash, 1)); !errors.Is(err, ErrImage) {
		t.Error("a group without a layer:", err)
	}
	m.StartLayer()
	for _, pages := range [][]uint32{{}, {0}, make([]uint32, 17)} {
		if err := m.AddGroup(pack.ID{}, pages, make([]Hash, len(pages))); !errors.Is(err, ErrImage) {
			t.Error(pages, err)
		}
	}
	if err := m.AddStored(Layer{Runs: [][]pack.Run{{{First: 1, Count: 1 << 31}}}}, nil); !errors.Is(err, ErrImage) {
		t.Error("more pages than hashes:", err)
	}
}

func FuzzParseImage(f *testing.F) {
	w := &world{segments: map[pack.ID][]uint64{}, pages: make([]uint64, 40)}
	m := NewImage(testPageBytes, 0)
	for i := range w.pages {
		w.pages[i] = uint64(i)
	}
	w.next = 1000
	m.Resize(40)
	m.StartLayer()
	if err := m.AddGroup(pack.ID{1}, []uint32{1, 2, 7}, make([]Hash, 3)); err != nil {
		f.Fatal(err)
	}
	m.StartDifferences()
	if err := m.AddDifference(pack.ID{2}, 100, []uint32{2, 7}, make([]Hash, 2)); err != nil {
		f.Fatal(err)
	}
	f.Add(m.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseImage(b)
		if err != nil {
			return
		}
		again, err := ParseImage(m.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), m.Bytes()) {
			t.Fatal("parse, encode, parse gives something else")
		}
		m.Stale(false)
		m.Trim()
	})
}

func TestSpoolKeepsOrderAndNeverWaits(t *testing.T) {
	s := NewSpool(t.TempDir())
	defer s.Close()
	const blocks, early = 40, 30 // more than twice what fits in memory
	put := func(i int) {
		if err := s.Put(Block{pack.ID{byte(i)}, bytes.Repeat([]byte{byte(i)}, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range early {
		put(i)
	}
	for i := range blocks {
		if i >= 10 && i < 10+blocks-early {
			put(early + i - 10) // while memory has room and the disk is not empty
		}
		if i == blocks-1 {
			s.End()
		}
		b, err := s.Take()
		if err != nil || b.ID != (pack.ID{byte(i)}) || !bytes.Equal(b.Data, bytes.Repeat([]byte{byte(i)}, 1<<20)) {
			t.Fatal("block", i, err)
		}
	}
	if _, err := s.Take(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestSpoolWithoutDiskWaitsForRoom(t *testing.T) {
	s := NewSpool("/nonexistent/folder")
	defer s.Close()
	got := make(chan int)
	go func() {
		n := 0
		for {
			if _, err := s.Take(); err != nil {
				got <- n
				return
			}
			n++
		}
	}()
	for range 40 {
		if err := s.Put(Block{Data: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	s.End()
	if n := <-got; n != 40 {
		t.Fatal(n)
	}
	s.Break(os.ErrClosed)
	if err := s.Put(Block{}); err == nil {
		t.Fatal("a broken spool took a block")
	}
}

func TestFileCuts(t *testing.T) {
	for _, size := range []int{0, 1, FileBytes - 1, FileBytes, FileBytes + 1, 3*FileBytes + 5} {
		in := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		var out []byte
		n := 0
		total, err := File(iotestReader{bytes.NewReader(in)}, make([]byte, FileBytes), func(b []byte) error {
			n++
			out = append(out, b...)
			return nil
		})
		if err != nil || total != int64(size) || !bytes.Equal(in, out) || n != (size+FileBytes-1)/FileBytes {
			t.Errorf("%d bytes: %d segments, %d bytes, %v", size, n, total, err)
		}
	}
}

// iotestReader gives less than it is asked for.
type iotestReader struct{ r io.Reader }

func (r iotestReader) Read(b []byte) (int, error) { return r.r.Read(b[:min(len(b), 100_003)]) }
