package backup

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/fault"
	"strongroom/store/mem"
)

// P17: tomorrow's program opens today's backup. testdata/format holds one
// repository of each format version that was ever released, in a zip file,
// with what is in it: made once, by the program of its day, never made again.

// fixture tells what a repository of testdata/format holds.
type fixture struct {
	Key       string            `json:"key"` // 64 digits
	Snapshots []fixtureSnapshot `json:"snapshots"`
}

type fixtureSnapshot struct {
	ID     string                  `json:"id"`
	Time   time.Time               `json:"time"`
	Host   string                  `json:"host"`
	Device string                  `json:"device"`
	Paths  []string                `json:"paths"`
	Things map[string]fixtureThing `json:"things"` // by quoted path below the one root
}

type fixtureThing struct {
	Mode    fs.FileMode `json:"mode"`
	ModTime time.Time   `json:"time,omitzero"`
	Content string      `json:"content,omitempty"` // SHA-256 of a file; the target of a link
}

// things is a shadow with digests in place of contents.
func things(s shadow) map[string]fixtureThing {
	out := map[string]fixtureThing{}
	for path, x := range s {
		f := fixtureThing{Mode: x.mode, ModTime: x.modTime.UTC(), Content: x.content}
		if x.mode.IsRegular() {
			sum := sha256.Sum256([]byte(x.content))
			f.Content = hex.EncodeToString(sum[:])
		}
		out[strconv.QuoteToASCII(path)] = f // JSON has no bytes that are no text
	}
	return out
}

func TestEveryReleasedFormatOpens(t *testing.T) {
	zips, err := filepath.Glob("testdata/format/*.zip")
	if err != nil || len(zips) < 1 {
		t.Fatal(zips, err)
	}
	for _, path := range zips {
		t.Run(filepath.Base(path), func(t *testing.T) {
			st, want := loadFixture(t, path)
			var key Key
			if n, err := hex.Decode(key[:], []byte(want.Key)); err != nil || n != len(key) {
				t.Fatal(err)
			}
			r, err := Open(t.Context(), st, key)
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Snapshots) < 4 {
				t.Fatal(len(want.Snapshots), "snapshots")
			}
			fixtureIsWhole(t, r, want.Snapshots)
			// And this program goes on with it: its own backups beside the old.
			root := filepath.Join(t.TempDir(), "data")
			newTree(t, root, 17)
			mustBackup(t, r, t.TempDir(), root)
			if r, err = Open(t.Context(), st, key); err != nil {
				t.Fatal(err)
			}
			fixtureIsWhole(t, r, want.Snapshots[:1])
		})
	}
}

// fixtureIsWhole checks a repository and restores the snapshots of want.
func fixtureIsWhole(t *testing.T, r *Repository, want []fixtureSnapshot) {
	t.Helper()
	mustCheck(t, r)
	infos, damage, err := r.Snapshots(t.Context())
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	for _, w := range want {
		i := slices.IndexFunc(infos, func(i SnapshotInfo) bool { return i.ID == w.ID })
		if i < 0 || !infos[i].Time.Equal(w.Time) || infos[i].Host != w.Host || infos[i].Device != w.Device || !slices.Equal(infos[i].Paths, w.Paths) {
			t.Fatalf("%+v is not among %+v", w.ID, infos)
		}
		target := mustRestore(t, r, w.ID, "")
		got := things(takeShadow(t, filepath.Join(target, filepath.Base(w.Paths[0]))))
		if len(got) != len(w.Things) || len(got) < 5 {
			t.Fatalf("%s: %d things instead of %d", w.ID, len(got), len(w.Things))
		}
		for path, x := range w.Things {
			if y := got[path]; y.Mode != x.Mode || y.Content != x.Content || !y.ModTime.Equal(x.ModTime) {
				t.Errorf("%s: %s is %+v instead of %+v", w.ID, path, y, x)
			}
		}
	}
}

const fixtureList = "fixture.json"

// loadFixture puts the objects of a zip file into memory.
func loadFixture(t *testing.T, path string) (store.Store, fixture) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	st, want := mem.New(), fixture{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name == fixtureList {
			err = json.Unmarshal(b, &want)
		} else {
			err = st.Put(t.Context(), f.Name, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return st, want
}

// playFixture makes the fixture of today's format: two devices, a database of
// several layers, a file of more than 64 segments, and packs of an
// interrupted backup.
//
//	go test -c -o /tmp/backup.test ./backup
//	STRONGROOM_TEST_ROLE=fixture /tmp/backup.test FILE.zip /srv/anna/store
func playFixture(file, root string) (err error) {
	ctx, st, key := context.Background(), mem.New(), Key(sha256.Sum256([]byte("fixture")))
	r, err := Create(ctx, st, key)
	if err != nil {
		return err
	}
	states, err := os.MkdirTemp("", "fixture")
	if err != nil {
		return err
	}
	defer os.RemoveAll(states)
	clock := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	list := fixture{Key: hex.EncodeToString(key[:])}
	m := &fixtureMaker{root: root}
	for day := range 4 {
		if err := m.day(day); err != nil {
			return err
		}
		host := []string{"phone", "phone", "laptop", "phone"}[day]
		opt := BackupOptions{StateDir: filepath.Join(states, host), Host: host, Now: func() time.Time { return clock }}
		if day == 3 { // the day's first try breaks off after its first pack
			torn := fault.New(st, 1, fault.Rule{On: fault.Put, Nth: 2, Effect: fault.Dead})
			broken, err := Open(ctx, torn, key)
			if err != nil {
				return err
			}
			if _, err := broken.Backup(ctx, []string{root}, opt); !errors.Is(err, fault.ErrFault) {
				return fmt.Errorf("the interrupted backup ended with %v", err)
			}
		}
		s, err := shadowOf(root)
		if err != nil {
			return err
		}
		report, err := r.Backup(ctx, []string{root}, opt)
		if err != nil {
			return err
		}
		list.Snapshots = append(list.Snapshots, fixtureSnapshot{ID: report.Snapshot.ID, Time: report.Snapshot.Time.UTC(), Host: host,
			Device: report.Snapshot.Device, Paths: report.Snapshot.Paths, Things: things(s)})
		clock = clock.Add(24 * time.Hour)
	}
	return writeFixture(ctx, file, st, list)
}

// fixtureMaker changes a folder from day to day.
type fixtureMaker struct{ root string }

func (m *fixtureMaker) day(day int) error {
	var err error
	must := func(e error) { err = errors.Join(err, e) }
	file := func(name string, mode fs.FileMode, content []byte) {
		path := filepath.Join(m.root, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, content, 0o600))
		must(os.Chmod(path, mode))
		when := time.Date(2020, 1, 1+day, 12, 0, 0, 123456789, time.UTC)
		must(os.Chtimes(path, when, when))
	}
	noise := make([]byte, 9000)
	rand.NewChaCha8([32]byte{byte(day)}).Read(noise)
	file(fmt.Sprintf("media/picture %d.jpg", day), 0o644, noise)
	file("notes", 0o600, []byte(fmt.Sprintf("day %d\n", day)))
	script := []string{fmt.Sprintf("INSERT INTO message(text) SELECT 'day %d ' || value FROM (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM c WHERE value<40) SELECT value FROM c)", day)}
	if day == 0 {
		file("empty", 0o400, nil)
		file("run", 0o755, []byte("#!/bin/sh\n"))
		file("latin1-\xe9 \U0001f5dd", 0o644, []byte("an odd name"))
		file("sparse", 0o644, make([]byte, 66<<20)) // more segments than an entry names itself
		file("text", 0o644, bytes.Repeat([]byte("all work and no play makes a good fixture. "), 40_000))
		must(os.Symlink("media/picture 0.jpg", filepath.Join(m.root, "link")))
		must(os.Mkdir(filepath.Join(m.root, "hollow"), 0o700))
		script = []string{"PRAGMA page_size=1024", "PRAGMA journal_mode=wal", "CREATE TABLE message(id INTEGER PRIMARY KEY, text TEXT)",
			"CREATE INDEX message_text ON message(text)", strings.Replace(script[0], "40", "400", 1)}
	} else {
		must(os.Remove(filepath.Join(m.root, fmt.Sprintf("media/picture %d.jpg", day-1))))
	}
	return errors.Join(err, runScript(filepath.Join(m.root, "msgstore.db"), script...))
}

func writeFixture(ctx context.Context, file string, st store.Store, list fixture) error {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	add := func(name string, b []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}
	b, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	if err := add(fixtureList, b); err != nil {
		return err
	}
	for o, err := range st.List(ctx, "") {
		if err != nil {
			return err
		}
		b, err := st.Get(ctx, o.Name, 0, -1)
		if err != nil {
			return err
		}
		if err := add(o.Name, b); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}
