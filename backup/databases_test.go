package backup

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/store/mem"
)

// integrity is what SQLite says of a restored database.
func integrity(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil {
		return err.Error()
	}
	return verdict
}

// pageImage is the database's pages as SQLite gives them, its log included.
func pageImage(t *testing.T, path string) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT data FROM sqlite_dbpage")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []byte
	for rows.Next() {
		var page []byte
		if err := rows.Scan(&page); err != nil {
			t.Fatal(err)
		}
		out = append(out, page...)
	}
	if rows.Err() != nil || len(out) == 0 {
		t.Fatal(len(out), rows.Err())
	}
	return out
}

// Three messengers write in one folder, each in its own mode, while a fourth
// database lies still: each comes back as one commit of its own.
func TestSeveralLiveDatabasesInOneFolder(t *testing.T) {
	root, state, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	modes := []string{"wal", "delete", "persist"}
	for _, mode := range modes {
		startWriter(t, filepath.Join(root, mode+".db"), mode)
	}
	script(t, filepath.Join(root, "still.db"), "CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(30000))")
	still, err := os.ReadFile(filepath.Join(root, "still.db"))
	if err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	last := map[string]int{}
	for range 3 {
		if report := mustBackup(t, r, state, root); report.Databases != len(modes)+1 {
			t.Fatalf("%+v", report)
		}
		data := filepath.Join(mustRestore(t, r, "latest", ""), "data")
		for _, mode := range modes {
			n := checkCounters(t, filepath.Join(data, mode+".db"))
			if n < last[mode] || n == 0 {
				t.Errorf("%s: counter %d after %d", mode, n, last[mode])
			}
			last[mode] = n
		}
		if got, err := os.ReadFile(filepath.Join(data, "still.db")); err != nil || !bytes.Equal(got, still) {
			t.Error("the still one differs", err)
		}
		if entries, _ := os.ReadDir(data); len(entries) != len(modes)+1 {
			t.Error("more came back than databases:", entries)
		}
	}
}

// In both modes and with the pages of SQLite from small to large, with and
// without rowids: changed, vacuumed, shrunk step by step. Page for page.
func TestDatabasePagesInEveryMode(t *testing.T) {
	root, state, st := filepath.Join(t.TempDir(), "data"), t.TempDir(), mem.New()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	var names []string
	open := map[string]*sql.DB{}
	for _, mode := range []string{"wal", "delete"} {
		for _, size := range []int{4096, 8192, 32768, 65536} {
			name := fmt.Sprintf("%s-%d.db", mode, size)
			db, err := sql.Open("sqlite", "file:"+filepath.Join(root, name)+"?_pragma=synchronous(off)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			names, open[name] = append(names, name), db
			if _, err := db.Exec(fmt.Sprintf("PRAGMA page_size=%d; PRAGMA auto_vacuum=incremental; PRAGMA journal_mode=%s; "+
				"CREATE TABLE t(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID; CREATE TABLE u(id INTEGER PRIMARY KEY, v BLOB); CREATE INDEX uv ON u(v)", size, mode)); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill := "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<150) INSERT INTO %s SELECT %s, randomblob(700) FROM c"
	for _, change := range []string{
		fmt.Sprintf(fill, "t", "'k'||x") + ";" + fmt.Sprintf(fill, "u", "x"), "UPDATE u SET v = randomblob(900) WHERE id % 7 = 1",
		"DELETE FROM t WHERE k LIKE '%3%'; PRAGMA incremental_vacuum(5)", "VACUUM", "DELETE FROM u; PRAGMA incremental_vacuum",
	} {
		for _, name := range names {
			if _, err := open[name].Exec(change); err != nil {
				t.Fatal(name, change, err)
			}
		}
		mustBackup(t, r, state, root)
		data := filepath.Join(mustRestore(t, r, "latest", ""), "data")
		for _, name := range names {
			if !bytes.Equal(pageImage(t, filepath.Join(data, name)), pageImage(t, filepath.Join(root, name))) {
				t.Errorf("%s after %.40q: other pages", name, change)
			}
			if verdict := integrity(t, filepath.Join(data, name)); verdict != "ok" {
				t.Errorf("%s after %.40q: %s", name, change, verdict)
			}
		}
	}
}

// A transaction over two attached databases: each is whole and passes; that
// they are of one commit is not promised (README).
func TestAttachedDatabases(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	main, second := filepath.Join(root, "main.db"), filepath.Join(root, "second.db")
	db, err := sql.Open("sqlite", "file:"+main)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"ATTACH '" + second + "' AS other", "CREATE TABLE main.t(x)", "CREATE TABLE other.t(x)",
		"BEGIN; INSERT INTO main.t VALUES(randomblob(9000)); INSERT INTO other.t VALUES(randomblob(9000)); COMMIT",
		"BEGIN; INSERT INTO main.t VALUES(1)", // open while the backup runs
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	r := mustCreate(t, st)
	if report := mustBackup(t, r, t.TempDir(), root); report.Databases != 2 {
		t.Fatalf("%+v", report)
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(mustRestore(t, r, "latest", ""), "data")
	for _, name := range []string{"main.db", "second.db"} {
		got, want := pageImage(t, filepath.Join(data, name)), pageImage(t, filepath.Join(root, name))
		if verdict := integrity(t, filepath.Join(data, name)); verdict != "ok" || !bytes.Equal(got, want) {
			t.Error(name, verdict, len(got), len(want))
		}
	}
}

// What only looks like a database, or was one, is a file and all that lies
// beside it too; each is said, an encrypted one apart, which shows no sign of
// being one.
func TestWhatSQLiteCanNotReadIsAFile(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	x := &tree{t: t, root: root, rnd: rand.New(rand.NewPCG(71, 1))}
	good := filepath.Join(root, "good.db")
	for range 6 {
		x.database(good)
	}
	whole, err := os.ReadFile(good)
	x.must(err)
	put := func(name string, b []byte) { x.must(os.WriteFile(filepath.Join(root, name), b, 0o600)) }
	put("sealed.db", x.bytes(5*4096)) // SQLCipher: 16 bytes of salt, then pages of noise
	put("sealed.db-wal", x.bytes(4152))
	put("cut.db", whole[:len(whole)/2/512*512])
	put("cut.db-wal", []byte("what was its log"))
	noise := bytes.Clone(whole)
	copy(noise[16:], x.bytes(84)) // all that its header says
	put("noise.db", noise)
	bent := bytes.Clone(whole)
	copy(bent[len(bent)/2:], bytes.Repeat([]byte{0xee}, 4096)) // SQLite reads it, and finds fault with it
	put("bent.db", bent)
	held := takeShadow(t, root)
	logs := map[string][]byte{}
	for _, name := range []string{"sealed.db-wal", "cut.db-wal"} { // a shadow leaves logs out
		logs[name], err = os.ReadFile(filepath.Join(root, name))
		x.must(err)
	}
	r := mustCreate(t, st)
	report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: t.TempDir()})
	x.must(err)
	said := ""
	for _, w := range report.Warnings {
		said += filepath.Base(w.Path) + " "
		if !strings.Contains(w.What, "SQLite can not read it") || !strings.Contains(w.What, "taken as a plain file") {
			t.Error(w)
		}
	}
	if said != "cut.db noise.db " || report.Databases != 2 {
		t.Errorf("warned of %q, %d databases", said, report.Databases)
	}
	data := filepath.Join(mustRestore(t, r, "latest", ""), "data")
	if d := held.differences(takeShadow(t, data), "."); len(d) > 0 {
		t.Error(d)
	}
	for name, want := range logs {
		if got, err := os.ReadFile(filepath.Join(data, name)); err != nil || !bytes.Equal(got, want) {
			t.Error(name, err)
		}
	}
	if verdict := integrity(t, filepath.Join(data, "good.db")); verdict != "ok" {
		t.Error(verdict)
	}
	if integrity(t, filepath.Join(data, "bent.db")) == "ok" {
		t.Error("the bent one was not bent at all")
	}
}

// A writer that died in the middle of a transaction leaves a journal that has
// yet to be played back. Read only that can not be done: file and journal are
// both taken as they are, with a warning, and SQLite plays it back where they
// are restored.
func TestHotJournalIsTakenAlong(t *testing.T) {
	root, st := filepath.Join(t.TempDir(), "data"), mem.New()
	live := filepath.Join(t.TempDir(), "live.db")
	script(t, live, "PRAGMA journal_mode=delete", "CREATE TABLE t(x)", "INSERT INTO t VALUES(randomblob(200000))", "CREATE TABLE n(x)", "INSERT INTO n VALUES(1)")
	db, err := sql.Open("sqlite", "file:"+live+"?_pragma=cache_size(2)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN; UPDATE n SET x = 2; UPDATE t SET x = randomblob(200000)"); err != nil { // more than its cache: it spills into the file
		t.Fatal(err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-journal"} { // as the dead left them
		b, err := os.ReadFile(live + suffix)
		if err != nil || len(b) == 0 {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "m.db"+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := mustCreate(t, st)
	report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: t.TempDir()})
	if err != nil || len(report.Warnings) != 1 || report.Databases != 0 {
		t.Fatalf("%+v %v", report, err)
	}
	restored := filepath.Join(mustRestore(t, r, "latest", ""), "data", "m.db")
	again, err := sql.Open("sqlite", "file:"+restored)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	var n int
	if err := again.QueryRow("SELECT x FROM n").Scan(&n); err != nil || n != 1 {
		t.Error("the dead transaction is in force:", n, err)
	}
	if verdict := integrity(t, restored); verdict != "ok" {
		t.Error(verdict)
	}
}
