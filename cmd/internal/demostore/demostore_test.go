package demostore

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func makeStore(t *testing.T, seed uint64, size int64) Store {
	t.Helper()
	s := Store{Dir: filepath.Join(t.TempDir(), "store"), Seed: seed}
	if err := s.Make(t.Context(), size, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMakesTheSizeAsked(t *testing.T) {
	const size = 8 << 20
	s := makeStore(t, 1, size)
	var total int64
	err := filepath.Walk(s.Dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if total < size*8/10 || total > size*12/10 {
		t.Errorf("the store has %d bytes, %d asked", total, size)
	}
	if got := integrity(t, s.Database()); got != "ok" {
		t.Error(got)
	}
}

// A live writer's history, replayed elsewhere, gives the same pages: the
// demo's oracle stands on this.
func TestReplayGivesTheSamePages(t *testing.T) {
	s := makeStore(t, 2, 3<<20)
	if err := s.AddDay(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	twin := Store{Dir: t.TempDir(), Seed: 2}
	start := filepath.Join(t.TempDir(), "start.db")
	copyFile(t, s.Database(), start)
	before, err := Commits(s.Database())
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if err := s.Live(ctx, io.Discard); err != nil {
		t.Fatal(err)
	}
	after, err := Commits(s.Database())
	if err != nil {
		t.Fatal(err)
	}
	if after-before < 3 {
		t.Fatalf("the writer made %d commits", after-before)
	}
	for _, short := range []uint64{0, 1} {
		copyFile(t, start, twin.Database())
		if err := twin.Replay(t.Context(), after-before-short); err != nil {
			t.Fatal(err)
		}
		same := bytes.Equal(pages(t, s.Database()), pages(t, twin.Database()))
		if same != (short == 0) {
			t.Errorf("replay of %d commits less: same pages is %v", short, same)
		}
	}
}

func integrity(t *testing.T, path string) (said string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil {
		t.Fatal(err)
	}
	return said
}

func pages(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, pages(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}
