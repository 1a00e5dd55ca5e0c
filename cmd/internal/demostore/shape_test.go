package demostore

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

// A store of a shape of its own has that shape, and a day brings what it says.
func TestMakesTheShapeAsked(t *testing.T) {
	s := Store{Dir: filepath.Join(t.TempDir(), "store"), Seed: 3}
	shape := Shape{DatabaseBytes: 3 << 20, Media: 60, MediaBytes: 6 << 20}
	if err := s.MakeShape(t.Context(), shape); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.Database())
	if err != nil || info.Size() < shape.DatabaseBytes*7/10 || info.Size() > shape.DatabaseBytes*13/10 {
		t.Fatal(info.Size(), err)
	}
	files, bytes := media(t, s)
	if files != shape.Media || bytes < shape.MediaBytes/2 || bytes > shape.MediaBytes*2 {
		t.Fatal(files, "media of", bytes)
	}
	before := messages(t, s)
	day := Day{Messages: 47, Edits: 5, Deletions: 3, Media: 4, MediaBytes: 1 << 20}
	if err := s.AddDayOf(t.Context(), 1, day); err != nil {
		t.Fatal(err)
	}
	if got := messages(t, s) - before; got < day.Messages-day.Deletions || got > day.Messages {
		t.Error(got, "messages more")
	}
	if got, _ := media(t, s); got != shape.Media+day.Media {
		t.Error(got, "media after the day")
	}
}

func media(t *testing.T, s Store) (files int, bytes int64) {
	t.Helper()
	err := filepath.Walk(s.Media(), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, bytes
}

func messages(t *testing.T, s Store) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.Database()+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM message").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
