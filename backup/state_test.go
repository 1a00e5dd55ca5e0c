package backup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/backup/scan"
	"strongroom/store/mem"
)

func stateFiles(t *testing.T, stateDir string) (out []string) {
	t.Helper()
	filepath.WalkDir(stateDir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != deviceFile {
			out = append(out, path)
		}
		return err
	})
	if len(out) < 2 {
		t.Fatal("the local state is", out)
	}
	return out
}

// The local state is a cache: garbled, cut, deleted, of an earlier day or of
// another repository, it costs bytes and never a file.
func TestWrongStateCostsNoFile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(31, 1))
	root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	x := newTree(t, root, 31)
	x.database(filepath.Join(root, "msgstore.db"))
	r := mustCreate(t, st)
	mustBackup(t, r, stateDir, root)
	old := t.TempDir()
	x.must(os.CopyFS(filepath.Join(old, "s"), os.DirFS(stateDir)))
	wrongs := map[string]func(path string){
		"garbled": func(p string) {
			b, err := os.ReadFile(p)
			x.must(err)
			b[rnd.IntN(len(b))] ^= byte(1 + rnd.IntN(255))
			x.must(os.WriteFile(p, b, 0o600))
		},
		"cut":     func(p string) { x.must(os.Truncate(p, 7)) },
		"empty":   func(p string) { x.must(os.Truncate(p, 0)) },
		"deleted": func(p string) { x.must(os.Remove(p)) },
		"old": func(p string) {
			rel, _ := filepath.Rel(stateDir, p)
			b, err := os.ReadFile(filepath.Join(old, "s", rel))
			if os.IsNotExist(err) {
				return
			}
			x.must(err)
			x.must(os.WriteFile(p, b, 0o600))
		},
	}
	for name, wrong := range wrongs {
		for round := range 6 {
			for range 5 {
				x.edit()
			}
			all := stateFiles(t, stateDir)
			for i, p := range all {
				if i == round%len(all) || round > 3 {
					wrong(p)
				}
			}
			held := takeShadow(t, root)
			mustBackup(t, r, stateDir, root)
			target := mustRestore(t, r, "latest", "")
			if d := held.differences(takeShadow(t, filepath.Join(target, "data"))); len(d) > 0 {
				t.Fatal(name, round, d)
			}
		}
	}
	mustCheck(t, r)
}

// A lost state is rebuilt from the repository: no segment is sent again.
func TestLostStateSendsOnlyWhatChanged(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	x := newTree(t, root, 32)
	for range 20 {
		x.database(filepath.Join(root, "msgstore.db"))
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	x.database(filepath.Join(root, "msgstore.db"))
	kept := mustBackup(t, r, t.TempDir(), root) // each with no state at all
	if kept.PagesChanged == 0 || kept.PagesChanged > kept.Pages/2 {
		t.Fatalf("%d of %d pages", kept.PagesChanged, kept.Pages)
	}
	before := storedBytes(t, st, "p/")
	report := mustBackup(t, r, t.TempDir(), root)
	if sent := storedBytes(t, st, "p/") - before; report.PagesChanged != 0 || sent > 16<<10 {
		t.Fatalf("%d bytes sent, %+v", sent, report)
	}
}

// A file that changes without showing it in size or times within two seconds
// of a backup is still found: it was too young to be trusted.
func TestYoungFileIsReadAgain(t *testing.T) {
	root, stateDir, st := t.TempDir(), t.TempDir(), mem.New()
	path := filepath.Join(root, "f")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	mustBackup(t, r, stateDir, root)
	if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	changeSeen(t, r, stateDir, func(f *seen) { // as a clock that did not move on would show it
		if !f.Racy {
			t.Fatal("a file of this moment is trusted")
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Stat = scan.StatOf(info)
	})
	mustBackup(t, r, stateDir, root)
	target := mustRestore(t, r, "latest", "")
	if b, err := os.ReadFile(filepath.Join(target, filepath.Base(root), "f")); err != nil || string(b) != "two" {
		t.Fatal(string(b), err)
	}
}

// Two devices write at the same time; then a second process under the first
// one's identity (a copied data folder).
func TestDevicesAtOnce(t *testing.T) {
	st := mem.New()
	mustCreate(t, st)
	type device struct{ root, state string }
	var devices []device
	for i := range 3 {
		d := device{filepath.Join(t.TempDir(), "data"), t.TempDir()}
		newTree(t, d.root, uint64(40+i))
		devices = append(devices, d)
	}
	if _, err := newDevice(devices[0].state); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(devices[1].state), os.DirFS(devices[0].state)); err != nil {
		t.Fatal(err)
	}
	const rounds = 5
	done := make(chan error)
	for _, d := range devices {
		go func() {
			for range rounds {
				r, err := Open(t.Context(), st, testKey)
				if err == nil {
					_, err = r.Backup(t.Context(), []string{d.root}, BackupOptions{StateDir: d.state})
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range devices {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(t.Context(), st, testKey)
	if err != nil {
		t.Fatal(err)
	}
	infos, damage, err := r.Snapshots(t.Context())
	if err != nil || len(damage) > 0 || len(infos) != rounds*len(devices) {
		t.Fatal(len(infos), damage, err)
	}
	mustCheck(t, r)
	for _, d := range devices {
		for _, i := range infos {
			if i.Paths[0] == d.root {
				target := mustRestore(t, r, i.ID, "")
				got := takeShadow(t, filepath.Join(target, "data"))
				for path, want := range takeShadow(t, d.root) {
					if got[path].content != want.content {
						t.Fatalf("%q differs", path)
					}
				}
				break
			}
		}
	}
}

// A database that SQLite can not read is a plain file, and said to be one.
func TestUnreadableDatabaseIsAPlainFile(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(1, 1))}
	x.database(filepath.Join(root, "good.db"))
	x.must(os.WriteFile(filepath.Join(root, "bad.db"), append([]byte("SQLite format 3\x00"), x.bytes(8176)...), 0o600))
	x.must(os.WriteFile(filepath.Join(root, "bad.db-journal"), []byte("beside it"), 0o600))
	x.must(os.WriteFile(filepath.Join(root, "sealed.db"), x.bytes(8192), 0o600))
	held := takeShadow(t, root)
	r := mustCreate(t, st)
	stateDir := t.TempDir()
	for range 2 {
		report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: stateDir})
		if err != nil || report.Databases != 1 || len(report.Warnings) != 1 || report.Warnings[0].Path != filepath.Join(root, "bad.db") {
			t.Fatalf("%+v %v", report, err)
		}
	}
	target := mustRestore(t, r, "latest", "")
	if d := held.differences(takeShadow(t, filepath.Join(target, "data")), "."); len(d) > 0 {
		t.Fatal(d)
	}
}

// Page sizes, WITHOUT ROWID, a database that shrinks and changes its pages'
// size: each comes back byte for byte.
func TestDatabasesOfManyShapes(t *testing.T) {
	root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	path := func(size int) string { return filepath.Join(root, fmt.Sprint(size, ".db")) }
	sizes := []int{512, 1024, 4096, 16384, 65536}
	for _, size := range sizes {
		script(t, path(size), fmt.Sprintf("PRAGMA page_size=%d", size), "CREATE TABLE t(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID",
			"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<300) INSERT INTO t SELECT 'k'||x, randomblob(700) FROM c")
	}
	for _, change := range []string{"UPDATE t SET v = randomblob(900) WHERE k LIKE '%7'", "DELETE FROM t WHERE k LIKE '%3%'", "VACUUM", "PRAGMA page_size=8192; VACUUM", "DELETE FROM t; VACUUM"} {
		for _, size := range sizes {
			script(t, path(size), "PRAGMA journal_mode=delete", change)
		}
		held := takeShadow(t, root)
		if report := mustBackup(t, r, stateDir, root); report.Databases != len(sizes) {
			t.Fatalf("%+v", report)
		}
		target := mustRestore(t, r, "latest", "")
		if d := held.differences(takeShadow(t, filepath.Join(target, "data"))); len(d) > 0 {
			t.Fatal(change, d)
		}
	}
}

func script(t testing.TB, path string, statements ...string) {
	t.Helper()
	if err := runScript(path, statements...); err != nil {
		t.Fatal(err)
	}
}

func runScript(path string, statements ...string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return db.Close()
}

// A writer in this same process keeps its locks although the backup looks at
// the file: POSIX drops them with any close.
func TestWriterInTheSameProcessKeepsItsLocks(t *testing.T) {
	root, st := t.TempDir(), mem.New()
	path := filepath.Join(root, "msgstore.db")
	script(t, path, "PRAGMA journal_mode=delete", "CREATE TABLE t(x)")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE; INSERT INTO t VALUES(1)"); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	if locks := lockedInodes(t); !strings.Contains(locks, inode(t, path)) {
		t.Fatalf("the writer's lock is gone: %s", locks)
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
}

func lockedInodes(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func inode(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(":%d ", scan.StatOf(info).Inode)
}

func TestProgressEndsWhereItSaid(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	newTree(t, root, 50)
	r := mustCreate(t, st)
	var last Progress
	calls := 0
	_, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: t.TempDir(), Now: func() time.Time { return time.Unix(1, 0) },
		Progress: func(p Progress) { last = p; calls++ }})
	if err != nil || calls < 4 || last.Phase != PhaseFinish || last.FilesDone == 0 || last.FilesDone != last.FilesTotal || last.BytesDone != last.BytesTotal {
		t.Fatalf("%d calls, %+v, %v", calls, last, err)
	}
	infos, _, err := r.Snapshots(t.Context())
	if err != nil || !infos[0].Time.Equal(time.Unix(1, 0)) {
		t.Fatal(infos, err)
	}
}

// sum is the checksum of a state file's body.
func (s *state) sum(body []byte) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write(body)
	return m.Sum(nil)
}

// FuzzState: a state file of any content, even one whose checksum is right.
func FuzzState(f *testing.F) {
	s := &state{}
	file := append([]byte{3, 0x62, '/', 'r'}, 0xa2, 1, 0x61, 'x', 4, 0x42, 1, 2)
	for _, b := range [][]byte{nil, {2}, {3}, {3, 0x60}, {3, 0xa0}, {3, 0x60, 0xf6}, {3, 0x60, 0xa0, 0xa0, 0xff}, file, append(file, file[4:]...)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := s.openStateReader(bytes.NewReader(append(s.sum(body), body...)), func() {}); err == nil {
			last := ""
			for x := r.next(); x != nil; x = r.next() {
				if splitIDs(x.IDs); x.Path < last {
					t.Fatal("out of order")
				}
				last = x.Path
			}
		}
		if _, err := s.openStateReader(bytes.NewReader(body), func() {}); err == nil {
			t.Fatal("a state without its checksum was taken")
		}
	})
}

// A state that did not come from this repository's key says nothing, however
// well formed: here it says that one file is another.
func TestForgedStateSaysNothing(t *testing.T) {
	root, stateDir, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	x := &tree{t: t, root: root}
	x.must(os.MkdirAll(root, 0o755))
	x.must(os.WriteFile(filepath.Join(root, "one"), []byte("one"), 0o600))
	x.must(os.WriteFile(filepath.Join(root, "two"), []byte("two"), 0o600))
	held := takeShadow(t, root)
	r := mustCreate(t, st)
	mustBackup(t, r, stateDir, root)
	s, err := r.openState(stateDir)
	x.must(err)
	all := seenOf(t, s)
	one, two := all[root][0], all[root][1]
	one.IDs, two.IDs = two.IDs, one.IDs
	one.Racy, two.Racy = false, false
	s.key[0] ^= 1
	keepSeen(t, s, all)
	mustBackup(t, r, stateDir, root)
	target := mustRestore(t, r, "latest", "")
	wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
}

// A commit that is in the log alone is seen, though the database's own file
// looks as it did.
func TestCommitInTheLogAloneIsSeen(t *testing.T) {
	root, stateDir, st := t.TempDir(), t.TempDir(), mem.New()
	path := filepath.Join(root, "m.db")
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	r := mustCreate(t, st)
	for i, q := range []string{"PRAGMA journal_mode=wal; CREATE TABLE t(x)", "INSERT INTO t VALUES(1)", "SELECT 1"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
		if report := mustBackup(t, r, stateDir, root); (report.PagesChanged > 0) != (i < 2) {
			t.Fatalf("after %q: %+v", q, report)
		}
		changeSeen(t, r, stateDir, func(f *seen) { f.Racy = false })
	}
}
