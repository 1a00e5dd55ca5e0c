package backup

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom/store"
	"strongroom/store/dir"
)

// The test program plays other processes too: what role it has is in its
// environment.
const roleVariable = "STRONGROOM_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "writer":
		exitOn(playWriter(os.Args[1], os.Args[2]))
	case "backup":
		exitOn(playBackup(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]))
	case "fixture":
		exitOn(playFixture(os.Args[1], os.Args[2]))
	case "prune":
		exitOn(playPrune(os.Args[1], os.Args[2], os.Args[3]))
	case "restore":
		exitOn(playRestore(os.Args[1], os.Args[2], os.Args[3]))
	default:
		os.Exit(m.Run())
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// playWriter is a messenger: it commits all the time, until it is killed.
// What it keeps true in every commit is what checkCounters looks for. It
// prints its counter after each commit.
func playWriter(path, mode string) error {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)&_txlock=immediate")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	for _, q := range []string{"PRAGMA journal_mode=" + mode, "PRAGMA synchronous=off", "PRAGMA wal_autocheckpoint=200",
		"CREATE TABLE IF NOT EXISTS a(id INTEGER PRIMARY KEY, n INTEGER)", "CREATE TABLE IF NOT EXISTS b(n INTEGER PRIMARY KEY, filler BLOB)",
		"CREATE INDEX IF NOT EXISTS bf ON b(filler)", "INSERT OR IGNORE INTO a VALUES(1, 0)", "INSERT OR IGNORE INTO a VALUES(2, 0)"} {
		if _, err := db.Exec(q); err != nil {
			return err
		}
	}
	for n := 1; ; n++ {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		for _, q := range []string{"UPDATE a SET n = n + 1 WHERE id = 1", "INSERT INTO b SELECT n, randomblob(600) FROM a WHERE id = 1",
			"UPDATE b SET filler = randomblob(700) WHERE n = (SELECT abs(random()) % n + 1 FROM a WHERE id = 1)", "UPDATE a SET n = n + 1 WHERE id = 2"} {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// checkCounters proves that a database is one commit of playWriter's and
// gives its counter.
func checkCounters(t *testing.T, path string) int {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatal("integrity_check:", verdict, err)
	}
	var one, two, most, count int
	err = db.QueryRow("SELECT (SELECT n FROM a WHERE id=1), (SELECT n FROM a WHERE id=2), (SELECT coalesce(max(n),0) FROM b), (SELECT count(*) FROM b)").Scan(&one, &two, &most, &count)
	if err != nil || one != two || one != most || one != count {
		t.Fatalf("not one commit: %d %d %d %d %v", one, two, most, count, err)
	}
	return one
}

// playBackup backs up and kills itself at the put that cut names: "-3" just
// before the third, "+3" just after it; "0" never.
func playBackup(repository, state, cut, host string, paths []string) error {
	d, err := dir.Open(repository)
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(strings.TrimLeft(cut, "+-"))
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := Open(ctx, &killer{Store: d, at: int64(at), after: cut[0] == '+'}, testKey)
	if err != nil {
		return err
	}
	report, err := r.Backup(ctx, paths, BackupOptions{StateDir: state, Host: host})
	fmt.Println(report.Snapshot.ID, report.BytesSent)
	return err
}

// killMyself ends this process as a power cut would.
func killMyself() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {}
}

// playRestore restores and kills itself when it asks for more than so many
// bytes.
func playRestore(repository, target, cut string) error {
	d, err := dir.Open(repository)
	if err != nil {
		return err
	}
	most, err := strconv.Atoi(cut)
	if err != nil {
		return err
	}
	ctx := context.Background()
	r, err := Open(ctx, &killer{Store: d, getMax: int64(most)}, testKey)
	if err != nil {
		return err
	}
	_, err = r.Restore(ctx, "latest", target, RestoreOptions{})
	return err
}

// killer is a store in a process that is killed at a certain put, or
// after a certain number of bytes.
type killer struct {
	store.Store
	at    int64
	after bool
	puts  atomic.Int64

	getMax int64 // bytes; 0 any
	got    atomic.Int64
}

func (k *killer) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if k.getMax > 0 && k.got.Load() > k.getMax {
		killMyself()
	}
	b, err := k.Store.Get(ctx, name, offset, length)
	k.got.Add(int64(len(b)))
	return b, err
}

func (k *killer) Put(ctx context.Context, name string, data []byte) error {
	n := k.puts.Add(1)
	if n == k.at && !k.after {
		killMyself()
	}
	err := k.Store.Put(ctx, name, data)
	if n == k.at {
		killMyself()
	}
	return err
}

var testKey = Key{1, 2, 3}
