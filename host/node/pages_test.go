package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"strongroom/protocol/wire"
)

func pagesOf(from, to int, text string) (pages []wire.Page) {
	for i := from; i < to; i++ {
		pages = append(pages, wire.Page{Key: fmt.Appendf(nil, "key %d", i), Bytes: bytes.Repeat([]byte(text), 100)})
	}
	return pages
}

// A checkpoint is kept as a whole, survives a restart, and lets the log before
// it go; what comes after it stays.
func TestStoreKeepsACheckpoint(t *testing.T) {
	logs, records := t.TempDir(), t.TempDir()
	s, err := OpenStore(logs, records, nil)
	must(t, err)
	s.segmentBytesMax = 200
	for i := uint64(1); i <= 40; i++ {
		must(t, s.Append(entries(i, i)))
	}
	must(t, s.Keep(pagesOf(0, 50, "old"), wire.Checkpoint{Serial: 1, Index: 10}))
	must(t, s.Keep(pagesOf(20, 30, "new"), wire.Checkpoint{Serial: 2, Index: 35}))
	must(t, s.Close())

	s, err = OpenStore(logs, records, nil)
	must(t, err)
	defer s.Close()
	values, err := s.Read([][]byte{[]byte("key 0"), []byte("none"), []byte("key 25")})
	if err != nil || !slices.EqualFunc(values, []string{"old", "", "new"}, func(v []byte, want string) bool { return string(v) == strings.Repeat(want, 100) }) {
		t.Fatalf("%q, %v", values, err)
	}
	some, err := s.Entries(35)
	if err != nil || len(some) == 0 || some[0].Index != 36 || s.Last() != 40 {
		t.Fatalf("%d entries, the last is %d: %v", len(some), s.Last(), err)
	}
	if _, err := s.Entries(3); !errors.Is(err, ErrDropped) {
		t.Fatalf("entry 4: %v", err)
	}
	must(t, s.Append(entries(41, 41)))
}

// A log that was lost whole goes on where the checkpoint ends: if the box
// lets it.
func TestLogBeginsAnywhere(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	must(t, l.Append(entries(501, 503)))
	if err := l.Append(entries(505, 505)); !errors.Is(err, ErrOrder) {
		t.Fatal(err)
	}
	if some, err := l.Entries(501); err != nil || len(some) != 2 {
		t.Fatal(some, err)
	}
}

// What was cut off a torn end is kept aside.
func TestTornEndIsKeptAside(t *testing.T) {
	path := t.TempDir()
	l := mustOpen(t, path)
	mustAppend(t, l, entries(1, 4))
	l.Close()
	name := filepath.Join(path, segmentName(1))
	whole, err := os.ReadFile(name)
	must(t, err)
	must(t, os.WriteFile(name, whole[:len(whole)-3], 0o600))
	l = mustOpen(t, path)
	kept, err := os.ReadFile(name + tornSuffix)
	if err != nil || l.Last() != 3 || !bytes.HasSuffix(whole[:len(whole)-3], kept) || len(kept) == 0 {
		t.Fatalf("%d entries, %d bytes aside: %v", l.Last(), len(kept), err)
	}
}

// A flipped byte of the records is damage by name, for who opens or who reads.
func TestDamagedPages(t *testing.T) {
	path := t.TempDir()
	p, err := OpenPages(path, nil)
	must(t, err)
	must(t, p.Keep(pagesOf(0, 200, "text"), nil))
	must(t, p.db.Flush())
	must(t, p.Close())
	tables, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	whole, err := os.ReadFile(tables[0])
	must(t, err)
	for at := 10; at < len(whole); at += len(whole) / 12 {
		bad := bytes.Clone(whole)
		bad[at] ^= 1
		must(t, os.WriteFile(tables[0], bad, 0o600))
		p, err := OpenPages(path, func(err error) { t.Errorf("byte %d ended the program: %v", at, err) })
		for i := 0; err == nil && i < 200; i++ {
			var values [][]byte
			values, err = p.Read([][]byte{fmt.Appendf(nil, "key %d", i)})
			if err == nil && len(values[0]) != 400 {
				t.Fatalf("byte %d: key %d has %d bytes", at, i, len(values[0]))
			}
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if p != nil {
			_ = p.Close()
		}
	}
}
