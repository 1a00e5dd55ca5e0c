package node

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strongroom/protocol/wire"
)

// body is what entry index holds in every test, so that any reader can check.
func body(index uint64) []byte {
	return bytes.Repeat([]byte{byte(index), byte(index >> 8), 0xa5}, 5+int(index%7))
}

func entries(from, to uint64) (es []wire.Entry) {
	for i := from; i <= to; i++ {
		es = append(es, wire.Entry{Index: i, Bytes: body(i)})
	}
	return es
}

// checkEntries reads the whole log and answers how many entries it holds.
func checkEntries(t *testing.T, l *Log) (count uint64) {
	t.Helper()
	for {
		some, err := l.Entries(count)
		if err != nil {
			t.Fatalf("entry %d: %v", count+1, err)
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			count++
			if e.Index != count || !bytes.Equal(e.Bytes, body(count)) {
				t.Fatalf("entry %d: got index %d, %x", count, e.Index, e.Bytes)
			}
		}
	}
	if l.Last() != count {
		t.Fatalf("Last is %d, %d entries were read", l.Last(), count)
	}
	return count
}

func mustOpen(t *testing.T, path string) *Log {
	t.Helper()
	l, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustAppend(t *testing.T, l *Log, es []wire.Entry) {
	t.Helper()
	if err := l.Append(es); err != nil {
		t.Fatal(err)
	}
}

// written is a folder with one segment of batches that end at the given indices.
func written(t *testing.T, ends ...uint64) (name string, image []byte, sizes []int64) {
	t.Helper()
	path := t.TempDir()
	l := mustOpen(t, path)
	last := uint64(0)
	for _, end := range ends {
		mustAppend(t, l, entries(last+1, end))
		last = end
		sizes = append(sizes, l.Bytes())
	}
	name = segmentName(1)
	image, err := os.ReadFile(filepath.Join(path, name))
	if err != nil {
		t.Fatal(err)
	}
	return name, image, sizes
}

func folderWith(t *testing.T, name string, image []byte) string {
	t.Helper()
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, name), image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEmptyLog(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	if got := checkEntries(t, l); got != 0 {
		t.Fatalf("%d entries in an empty log", got)
	}
	mustAppend(t, l, nil)
}

// A kill -9 leaves a prefix of what was written. Whatever its length, the
// whole frames are there, the rest is cut, and the log goes on from there.
func TestCutAtEveryByte(t *testing.T) {
	name, image, _ := written(t, 1, 2, 5, 6, 9)
	seen := map[uint64]bool{}
	for cut := range len(image) + 1 {
		path := folderWith(t, name, image[:cut])
		l := mustOpen(t, path)
		got := checkEntries(t, l)
		seen[got] = true
		mustAppend(t, l, entries(got+1, got+3))
		l.Close()
		if again := checkEntries(t, mustOpen(t, path)); again != got+3 {
			t.Fatalf("cut at %d: %d entries, then 3 more, then %d", cut, got, again)
		}
	}
	if len(seen) != 10 {
		t.Fatalf("the cuts left %d different lengths, 10 are possible", len(seen))
	}
}

// Every byte flipped: before the last batch it is damage with a name; within
// the last batch nothing wrong is ever given out.
func TestEveryByteFlipped(t *testing.T) {
	name, image, sizes := written(t, 1, 2, 5, 6, 9)
	proved := sizes[len(sizes)-2]
	damages := 0
	for at := range image {
		flipped := bytes.Clone(image)
		flipped[at] ^= 0x41
		l, err := OpenLog(folderWith(t, name, flipped))
		if int64(at) < proved {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d of %d flipped: %v, not ErrDamaged", at, proved, err)
			}
			damages++
			continue
		}
		if err != nil {
			t.Fatalf("byte %d of the last batch flipped: %v", at, err)
		}
		if got := checkEntries(t, l); got < 6 || got > 8 {
			t.Fatalf("byte %d of the last batch flipped: %d entries", at, got)
		}
		l.Close()
	}
	if damages == 0 {
		t.Fatal("no flip was tried")
	}
}

// A frame that is whole but not the next one is damage, wherever it stands.
func TestGapIsDamage(t *testing.T) {
	image := segmentHeader(1)
	image = appendFrame(image, wire.Entry{Index: 1, Bytes: body(1)}, 0)
	image = appendFrame(image, wire.Entry{Index: 3, Bytes: body(3)}, 2)
	if _, err := OpenLog(folderWith(t, segmentName(1), image)); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
}

func TestSegments(t *testing.T) {
	path := t.TempDir()
	l, err := openLog(folder{path}, 200)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(0); i < 40; i += 2 {
		mustAppend(t, l, entries(i+1, i+2))
	}
	if got := checkEntries(t, l); got != 40 {
		t.Fatalf("%d entries", got)
	}
	l.Close()
	names, err := folder{path}.list()
	if err != nil || len(names) < 5 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	if got := checkEntries(t, mustOpen(t, path)); got != 40 {
		t.Fatalf("%d entries after opening again", got)
	}
	whole, err := os.ReadFile(filepath.Join(path, names[1]))
	if err != nil {
		t.Fatal(err)
	}
	for what, harm := range map[string]func(at string) error{
		"removed":   os.Remove,
		"emptied":   func(at string) error { return os.Truncate(at, 0) },
		"cut":       func(at string) error { return os.Truncate(at, int64(len(whole)-1)) },
		"no frames": func(at string) error { return os.Truncate(at, segmentHeaderBytes) },
		"replaced":  func(at string) error { return os.WriteFile(at, append(segmentHeader(1), whole[16:]...), 0o600) },
		"renamed":   func(at string) error { return os.Rename(at, filepath.Join(path, "strange.log")) },
	} {
		at := filepath.Join(path, names[1])
		if err := harm(at); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLog(path); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		os.Remove(filepath.Join(path, "strange.log"))
		if err := os.WriteFile(at, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checkEntries(t, mustOpen(t, path))
}

func TestAppendRefuses(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	mustAppend(t, l, entries(1, 2))
	for _, es := range [][]wire.Entry{
		entries(4, 4), entries(2, 2), entries(0, 0),
		{{Index: 3, Bytes: body(3)}, {Index: 5, Bytes: body(5)}},
		{{Index: 3}}, {{Index: 3, Bytes: make([]byte, EntryBytesMax+1)}},
	} {
		if err := l.Append(es); !errors.Is(err, ErrOrder) {
			t.Fatalf("%d..: %v", es[0].Index, err)
		}
	}
	mustAppend(t, l, []wire.Entry{{Index: 3, Bytes: body(3)}})
	checkEntries(t, l)
	l.Close()
	if err := l.Append(entries(4, 4)); !errors.Is(err, ErrStopped) {
		t.Fatalf("append after close: %v", err)
	}
}

// After a failed fsync the log never writes or syncs again. (Trying again
// would report success for pages that the kernel has dropped.)
func TestFailedSyncStops(t *testing.T) {
	for _, inject := range []func(*crashDisk){
		func(d *crashDisk) { d.failSync = d.syncs + 1 },
		func(d *crashDisk) { d.failWrite = d.writes + 1 },
	} {
		d := newCrashDisk()
		l, err := openLog(d, segmentBytesMax)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, entries(1, 3))
		inject(d)
		if err := l.Append(entries(4, 6)); err == nil {
			t.Fatal("the failure was swallowed")
		}
		syncs, writes := d.syncs, d.writes
		if err := l.Append(entries(4, 6)); !errors.Is(err, ErrStopped) {
			t.Fatalf("the log went on: %v", err)
		}
		if d.syncs != syncs || d.writes != writes {
			t.Fatalf("%d syncs and %d writes after the failure", d.syncs-syncs, d.writes-writes)
		}
		if l.Last() != 3 {
			t.Fatalf("Last is %d", l.Last())
		}
	}
}

// What the page cache shows after a failed fsync is not on the disk. Opening
// the log again must put it there before it counts.
func TestLastBatchIsWrittenAgain(t *testing.T) {
	d := newCrashDisk()
	l, err := openLog(d, segmentBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, entries(1, 3))
	d.failSync = d.syncs + 1
	if err := l.Append(entries(4, 6)); !errors.Is(err, errSync) {
		t.Fatal(err)
	}
	again, err := openLog(d, segmentBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	given := checkEntries(t, again) // the box may now act on these
	after, err := openLog(d.crash(rand.New(rand.NewPCG(1, 1))), segmentBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	if left := checkEntries(t, after); left < given {
		t.Fatalf("%d entries were given out, a power cut left %d", given, left)
	}
}

func TestFullDiskIsNamed(t *testing.T) {
	d := newCrashDisk()
	l, err := openLog(d, segmentBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, entries(1, 3))
	d.failWrite = d.writes + 1
	if err := l.Append(entries(4, 6)); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	again, err := openLog(d, segmentBytesMax) // room was made
	if err != nil {
		t.Fatal(err)
	}
	got := checkEntries(t, again)
	if got < 3 {
		t.Fatalf("%d entries, 3 were acknowledged", got)
	}
	mustAppend(t, again, entries(got+1, got+2))
	checkEntries(t, again)
}

// Power cuts at any time, with any part of what was not synced on the disk:
// what was acknowledged is there, and no fault is mistaken for damage.
func TestPowerCuts(t *testing.T) {
	cuts, lost := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		d := newCrashDisk()
		acked := uint64(0)
		for range 6 {
			d.failSync, d.failWrite = 0, 0
			l, err := openLog(d, 300)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got := checkEntries(t, l); got < acked {
				t.Fatalf("seed %d: %d acknowledged, %d left", seed, acked, got)
			} else {
				acked = got // it was made durable by opening
			}
			switch r.IntN(3) {
			case 0:
				d.failSync = d.syncs + 1 + r.IntN(6)
			case 1:
				d.failWrite = d.writes + 1 + r.IntN(6)
			}
			for range 1 + r.IntN(5) {
				end := acked + 1 + uint64(r.IntN(4))
				if l.Append(entries(acked+1, end)) != nil {
					lost++
					break
				}
				acked = end
			}
			if r.IntN(4) > 0 {
				d = d.crash(r)
				cuts++
			}
		}
	}
	if cuts < 1000 || lost < 200 {
		t.Fatalf("only %d power cuts and %d failed appends were tried", cuts, lost)
	}
}

func ExampleLog_Entries() {
	path, _ := os.MkdirTemp("", "log")
	defer os.RemoveAll(path)
	l, _ := OpenLog(path)
	l.Append([]wire.Entry{{Index: 1, Bytes: []byte("sealed")}})
	some, err := l.Entries(0)
	for _, e := range some {
		fmt.Println(e.Index, string(e.Bytes), err)
	}
	// Output: 1 sealed <nil>
}
