package backup

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shadow is what a folder held at one moment, kept apart from the program
// that is tried: path below it -> what is there. A closed database's file is
// its page image, so its bytes are compared too.
type shadow map[string]thing

type thing struct {
	mode    fs.FileMode
	modTime time.Time // not of links
	content string    // of files, or the target of a link
}

func takeShadow(t testing.TB, root string) shadow {
	t.Helper()
	s, err := shadowOf(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shadowOf(root string) (shadow, error) {
	s := shadow{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		x := thing{mode: info.Mode(), modTime: info.ModTime()}
		switch {
		case info.Mode().IsRegular():
			if strings.HasSuffix(rel, "-wal") || strings.HasSuffix(rel, "-shm") {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			x.content = string(b)
		case info.Mode()&fs.ModeSymlink != 0:
			x.modTime = time.Time{}
			if x.content, err = os.Readlink(path); err != nil {
				return err
			}
		}
		s[rel] = x
		return nil
	})
	return s, err
}

// differences names what is not the same. ignore holds paths not compared.
func (s shadow) differences(got shadow, ignore ...string) (out []string) {
	for path, want := range s {
		if slices.Contains(ignore, path) {
			continue
		}
		have, ok := got[path]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("%q is missing", path))
		case have.content != want.content:
			out = append(out, fmt.Sprintf("%q has other content", path))
		case have.mode != want.mode:
			out = append(out, fmt.Sprintf("%q has mode %v instead of %v", path, have.mode, want.mode))
		case !have.modTime.Equal(want.modTime):
			out = append(out, fmt.Sprintf("%q is of %v instead of %v", path, have.modTime, want.modTime))
		}
	}
	for path := range got {
		if _, ok := s[path]; !ok {
			out = append(out, fmt.Sprintf("%q was never there", path))
		}
	}
	return out
}

func wantSame(t testing.TB, want, got shadow) {
	t.Helper()
	if d := want.differences(got); len(d) > 0 {
		t.Fatalf("%d differences: %s", len(d), strings.Join(d[:min(len(d), 8)], "; "))
	}
	if len(want) < 2 {
		t.Fatal("there was nothing to compare")
	}
}

// tree is a folder that changes at random.
type tree struct {
	t    testing.TB
	root string
	rnd  *rand.Rand
	n    int
}

func newTree(t testing.TB, root string, seed uint64) *tree {
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(seed, 99))}
	x.must(os.MkdirAll(root, 0o755))
	for range 30 {
		x.edit()
	}
	return x
}

func (x *tree) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// names that programs stumble over; %d makes them different.
var oddNames = []string{"plain-%d", "with space %d", "nl\n%d", "latin1-\xe9\xff-%d", "emoji-\U0001f5dd-%d", "-dash%d", "%d.", "quote'\"%d", "back\\slash%d", "a-b%d", "a.b%d"}

func (x *tree) edit() {
	x.n++
	folder := filepath.Join(x.root, []string{"", "media", "media/deep/er", "a", "a-b", "a.b"}[x.rnd.IntN(6)])
	x.must(os.MkdirAll(folder, 0o755))
	name := filepath.Join(folder, fmt.Sprintf(oddNames[x.rnd.IntN(len(oddNames))], x.n))
	switch x.rnd.IntN(10) {
	case 0, 1, 2:
		x.must(os.WriteFile(name, x.bytes(x.rnd.IntN(20_000)), 0o644))
		x.must(os.Chmod(name, fs.FileMode([]uint32{0o600, 0o644, 0o400, 0o755, 0o000}[x.rnd.IntN(5)])))
		when := time.Unix(x.rnd.Int64N(2_000_000_000), x.rnd.Int64N(1e9))
		x.must(os.Chtimes(name, when, when))
	case 3:
		x.must(os.WriteFile(name, nil, 0o600))
	case 4:
		x.must(os.Symlink([]string{"nowhere", "../plain", "/etc", "."}[x.rnd.IntN(4)], name))
	case 5:
		x.must(os.WriteFile(name, x.bytes(1<<20+x.rnd.IntN(1<<20)), 0o600))
	case 6:
		if old := x.pick(); old != "" {
			x.must(os.Rename(old, name))
		}
	case 7:
		if old := x.pick(); old != "" {
			x.must(os.Remove(old))
		}
	case 8:
		if old := x.pick(); old != "" && x.regular(old) { // in place, same size and time
			info, _ := os.Stat(old)
			b, _ := os.ReadFile(old)
			if len(b) > 0 {
				b[x.rnd.IntN(len(b))] ^= 1
				x.must(os.WriteFile(old, b, 0o600))
				x.must(os.Chtimes(old, info.ModTime(), info.ModTime()))
			}
		}
	case 9:
		x.database(filepath.Join(x.root, []string{"msgstore.db", "a/second.db"}[x.rnd.IntN(2)]))
	}
}

func (x *tree) bytes(n int) []byte {
	b := make([]byte, n)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], x.rnd.Uint64())
	rand.NewChaCha8(seed).Read(b)
	if x.rnd.IntN(2) == 0 {
		b = bytes.Repeat(b[:n/8], 8)
	}
	return b
}

func (x *tree) pick() string {
	var all []string
	filepath.WalkDir(x.root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.Contains(path, ".db") {
			all = append(all, path)
		}
		return nil
	})
	if len(all) == 0 {
		return ""
	}
	return all[x.rnd.IntN(len(all))]
}

func (x *tree) regular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// database changes a database and closes it.
func (x *tree) database(path string) {
	x.must(os.MkdirAll(filepath.Dir(path), 0o755))
	db, err := sql.Open("sqlite", "file:"+path)
	x.must(err)
	defer func() { x.must(db.Close()) }()
	db.SetMaxOpenConns(1)
	mode := []string{"wal", "delete"}[x.rnd.IntN(2)]
	for _, q := range []string{"PRAGMA synchronous=off", "PRAGMA journal_mode=" + mode, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v BLOB)", "CREATE INDEX IF NOT EXISTS i ON t(v)"} {
		_, err := db.Exec(q)
		x.must(err)
	}
	tx, err := db.Begin()
	x.must(err)
	for range 1 + x.rnd.IntN(60) {
		_, err := tx.Exec("INSERT INTO t(v) VALUES(?)", x.bytes(x.rnd.IntN(3000)))
		x.must(err)
	}
	_, err = tx.Exec("UPDATE t SET v = ? WHERE id % 17 = ?", x.bytes(500), x.rnd.IntN(17))
	x.must(err)
	if x.rnd.IntN(3) == 0 {
		_, err = tx.Exec("DELETE FROM t WHERE id % 5 = ?", x.rnd.IntN(5))
		x.must(err)
	}
	x.must(tx.Commit())
	if x.rnd.IntN(6) == 0 {
		_, err = db.Exec("VACUUM")
		x.must(err)
	}
}
