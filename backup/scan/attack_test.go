package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// walSum is the checksum of a write-ahead log (SQLite file format, section 4.2)
// with the magic that means little-endian words.
func walSum(s [2]uint32, b []byte) [2]uint32 {
	for i := 0; i+8 <= len(b); i += 8 {
		s[0] += binary.LittleEndian.Uint32(b[i:]) + s[1]
		s[1] += binary.LittleEndian.Uint32(b[i+4:]) + s[0]
	}
	return s
}

func putSum(b []byte, s [2]uint32) {
	binary.BigEndian.PutUint32(b, s[0])
	binary.BigEndian.PutUint32(b[4:], s[1])
}

const pageBytes = 512

// boast makes a log say that its last commit left so many pages.
func boast(log []byte, pages uint32) {
	binary.BigEndian.PutUint32(log, 0x377f0682)
	sum := walSum([2]uint32{}, log[:24])
	putSum(log[24:], sum)
	for at := 32; at+24+pageBytes <= len(log); at += 24 + pageBytes {
		head, page := log[at:at+24], log[at+24:at+24+pageBytes]
		if binary.BigEndian.Uint32(head) == 1 { // the header: size, valid for this change
			binary.BigEndian.PutUint32(page[28:], pages)
			copy(page[92:96], page[24:28])
		}
		if binary.BigEndian.Uint32(head[4:]) != 0 {
			binary.BigEndian.PutUint32(head[4:], pages)
		}
		sum = walSum(walSum(sum, head[:8]), page)
		putSum(head[16:], sum)
	}
}

// Attack: a kilobyte of log that says four billion pages. SQLite believes it;
// a scan that does too never ends.
func TestLogThatBoastsIsNoDatabase(t *testing.T) {
	folder := t.TempDir()
	live, evil := filepath.Join(folder, "live.db"), filepath.Join(folder, "evil.db")
	open(t, live, fmt.Sprintf("PRAGMA page_size=%d", pageBytes), "PRAGMA journal_mode=wal", "CREATE TABLE t(x)",
		"PRAGMA wal_checkpoint(truncate)", "CREATE TABLE u(x)")
	for _, c := range []struct {
		pages uint32
		whole bool
	}{{3, true}, {1000, false}, {0xfffffff0, false}} {
		file, err := os.ReadFile(live)
		must(t, err)
		log, err := os.ReadFile(live + "-wal")
		must(t, err)
		boast(log, c.pages)
		write(t, evil, string(file))
		write(t, evil+"-wal", string(log))
		os.Remove(evil + "-shm")
		s, err := OpenDatabase(t.Context(), evil, time.Second)
		if err == nil {
			if s.Pages != c.pages {
				t.Errorf("SQLite sees %d pages of the %d that the log says: the attack is none", s.Pages, c.pages)
			}
			s.Close()
		}
		if c.whole && err != nil || !c.whole && (!errors.Is(err, ErrDatabase) || !strings.Contains(err.Error(), "bytes are there")) {
			t.Errorf("%d pages: %v", c.pages, err)
		}
	}
}

// Attack: thousands of small files that begin like a database use up the
// descriptors of the process.
func TestManyDatabasesLeaveDescriptors(t *testing.T) {
	folder := t.TempDir()
	t.Cleanup(func() { // of the other tests' too: they are gone with their folders
		held.Lock()
		defer held.Unlock()
		for key, files := range held.files {
			for _, f := range files {
				f.Close()
			}
			delete(held.files, key)
		}
	})
	const many = heldMax + 200
	for i := range many {
		path := filepath.Join(folder, fmt.Sprint(i))
		write(t, path, magic+strings.Repeat("\x00", databaseBytesMin-len(magic)))
		f, database, err := Open(path)
		must(t, err)
		if !database {
			t.Fatal("no database")
		}
		must(t, f.Close())
	}
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	open := 0
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(to, folder) {
			open++
		}
	}
	if open == 0 || open > heldMax {
		t.Errorf("%d of %d files stay open, want at most %d", open, many, heldMax)
	}
}
