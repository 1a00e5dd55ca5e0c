package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"strongroom/client"
	"strongroom/cmd/internal/demostore"
	"strongroom/cmd/internal/terminal"
)

const (
	sqliteMagic     = "SQLite format 3\x00"
	compareBytes    = 1 << 20 // read at a time
	pageBytesOffset = 16      // of the page size in a database's header
)

// count is the number of regular files under dir and their bytes.
func count(dir string) (files int, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // somebody is writing
			return nil
		}
		if err == nil {
			files++
			bytes += info.Size()
		}
		return err
	})
	return files, bytes, err
}

// witness copies the database as it is before the messenger goes on: together
// with the messenger's seed it can say, page by page, what the database was
// after any later commit, without asking the backup.
func (d *demo) witness() error {
	twin := d.twin()
	if err := os.MkdirAll(twin.Dir, 0o700); err != nil {
		return err
	}
	return copyFile(d.store.Database(), twin.Database())
}

func (d *demo) twin() demostore.Store {
	return demostore.Store{Dir: filepath.Join(d.dir, "witness"), Seed: d.cmd.Seed}
}

func (d *demo) compare() error {
	root, err := d.restoredRoot()
	if err != nil {
		return err
	}
	if d.cmd.Path != "" {
		d.act("Compare what came back with your folder")
		return d.compareOwn(root)
	}
	d.act("Compare what came back with the lost phone")
	lost := filepath.Join(d.dir, "lost", "Messenger")
	files, bytes, differ, err := compareTrees(root, lost, func(path string) bool { return filepath.Base(path) == demostore.DatabaseName })
	if err != nil {
		return err
	}
	d.must(len(differ) == 0, "%s, %s: equal byte for byte%s", terminal.Count(files, "media file"), terminal.Bytes(bytes), named(differ))
	d.measured("files compared byte for byte", terminal.Count(files, "file"))
	return errors.Join(d.compareDatabase(filepath.Join(root, demostore.DatabaseName)), d.complete(root, lost))
}

// restoredRoot finds the folder that came back.
func (d *demo) restoredRoot() (string, error) {
	var found string
	err := filepath.WalkDir(d.restored(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == filepath.Base(d.phone) && found == "" {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("the restored folder %s holds no %s", d.restored(), filepath.Base(d.phone))
	}
	return found, err
}

// compareDatabase: the commit that the backup saw, replayed by the witness,
// must give the same pages.
func (d *demo) compareDatabase(restored string) error {
	said, err := integrity(d.ctx, restored)
	if err != nil {
		return err
	}
	d.must(said == "ok", "the database passes SQLite's integrity check (%s)", said)
	at, err := demostore.Commits(restored)
	if err != nil {
		return err
	}
	twin := d.twin()
	from, err := demostore.Commits(twin.Database())
	if err != nil {
		return err
	}
	if at < from {
		d.must(false, "the backup holds the database of commit %d, older than the %d before it began", at, from)
		return nil
	}
	if err := twin.Replay(d.ctx, at-from); err != nil {
		return err
	}
	pages, differ, err := comparePages(restored, twin.Database())
	if err != nil {
		return err
	}
	d.must(differ == 0, "the database is that of one moment, commit %d: %s equal to those of a witness that never saw the backup, %d differ",
		at, terminal.Count(pages-differ, "page"), differ)
	d.measured("database pages compared", terminal.Count(pages, "page"))
	return nil
}

// complete: whatever media the phone had before the messenger went on is back.
func (d *demo) complete(restored, lost string) error {
	missing := 0
	err := filepath.WalkDir(lost, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(e.Name(), "-live-") || strings.HasPrefix(e.Name(), demostore.DatabaseName) || strings.HasPrefix(e.Name(), ".incoming") {
			return err
		}
		relative, err := filepath.Rel(lost, path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(restored, relative)); err != nil {
			missing++
		}
		return nil
	})
	d.must(missing == 0, "of what the phone had before that backup, %s missing", terminal.Count(missing, "file"))
	return err
}

// compareOwn compares with a folder that somebody may be writing to: what was
// not touched since must be equal, every database must be sound.
func (d *demo) compareOwn(root string) error {
	databases := 0
	isDatabase := func(path string) bool { ok, err := isSQLite(path); return ok && err == nil }
	files, bytes, differ, err := compareTrees(root, d.phone, isDatabase)
	if err != nil {
		return err
	}
	touched := 0
	var wrong []string
	for _, path := range differ {
		newer, err := touchedSince(filepath.Join(d.phone, path), filepath.Join(root, path))
		if err != nil {
			return err
		}
		if newer {
			touched++
		} else {
			wrong = append(wrong, path)
		}
	}
	d.must(len(wrong) == 0, "%s, %s: equal byte for byte%s", terminal.Count(files-touched, "file"), terminal.Bytes(bytes), named(wrong))
	if touched > 0 {
		d.say("%s changed in your folder meanwhile, and not compared.", terminal.Count(touched, "file"))
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !isDatabase(path) {
			return err
		}
		databases++
		said, err := integrity(d.ctx, path)
		d.must(err == nil && said == "ok", "database %s passes SQLite's integrity check (%s)", e.Name(), said)
		return errors.Join(err, d.compareStill(root, path))
	})
	d.measured("files compared byte for byte", terminal.Count(files-touched, "file"))
	d.measured("databases checked", fmt.Sprint(databases))
	return err
}

// compareStill compares a database page for page with its original, where
// nobody has it open or wrote to it since.
func (d *demo) compareStill(root, path string) error {
	relative, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	original := filepath.Join(d.phone, relative)
	if wal, err := os.Stat(original + "-wal"); err == nil && wal.Size() > 0 {
		d.say("somebody has it open: its pages were not compared with what they are now")
		return nil
	}
	if moved, err := touchedSince(original, path); err != nil || moved {
		return err
	}
	pages, differ, err := comparePages(path, original)
	d.must(err == nil && differ == 0, "its %s are those of your file, %d differ", terminal.Count(pages, "page"), differ)
	return err
}

// touchedSince: the original was written to after the backup took it (the
// restored file carries the time that the backup saw), or is gone.
func touchedSince(original, restored string) (bool, error) {
	was, err := os.Stat(restored)
	if err != nil {
		return false, err
	}
	is, err := os.Stat(original)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && (!is.ModTime().Equal(was.ModTime()) || is.Size() != was.Size()), err
}

// compareTrees compares every file under restored, but databases, with the
// one of the same name under original.
func compareTrees(restored, original string, isDatabase func(string) bool) (files int, bytes int64, differ []string, err error) {
	err = filepath.WalkDir(restored, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || isDatabase(path) {
			return err
		}
		relative, err := filepath.Rel(restored, path)
		if err != nil {
			return err
		}
		same, n, err := sameFile(path, filepath.Join(original, relative))
		if err != nil {
			return err
		}
		files, bytes = files+1, bytes+n
		if !same {
			differ = append(differ, relative)
		}
		return nil
	})
	if err == nil && files == 0 {
		err = errors.New("nothing came back to compare")
	}
	return files, bytes, differ, err
}

func sameFile(a, b string) (same bool, n int64, err error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, 0, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	defer fb.Close()
	ba, bb := make([]byte, compareBytes), make([]byte, compareBytes)
	for {
		na, errA := io.ReadFull(fa, ba)
		nb, errB := io.ReadFull(fb, bb)
		n += int64(na)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, n, nil
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB), n, nil
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// comparePages counts the pages of two databases that lie still, and those
// that differ.
func comparePages(a, b string) (pages, differ int, err error) {
	ba, errA := os.ReadFile(a)
	bb, errB := os.ReadFile(b)
	if err := errors.Join(errA, errB); err != nil {
		return 0, 0, err
	}
	if len(ba) < pageBytesOffset+2 || len(bb) < pageBytesOffset+2 {
		return 0, 0, fmt.Errorf("%s or %s is no database", a, b)
	}
	size := int(ba[pageBytesOffset])<<8 | int(ba[pageBytesOffset+1])
	if size == 1 {
		size = 65536
	}
	if size < 512 {
		return 0, 0, fmt.Errorf("%s is no database", a)
	}
	for at := 0; at < max(len(ba), len(bb)); at += size {
		pages++
		if !bytes.Equal(part(ba, at, size), part(bb, at, size)) {
			differ++
		}
	}
	return pages, differ, nil
}

func part(b []byte, at, size int) []byte {
	if at >= len(b) {
		return nil
	}
	return b[at:min(len(b), at+size)]
}

// integrity asks SQLite, on a copy's own terms: nothing is written beside the
// restored file.
func integrity(ctx context.Context, path string) (said string, err error) {
	db, err := sql.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)+"?mode=ro&immutable=1")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&said)
	return said, err
}

func isSQLite(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, len(sqliteMagic))
	if _, err := io.ReadFull(f, head); err != nil {
		return false, nil // too short for a database
	}
	return string(head) == sqliteMagic, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// searchKey looks for the key in every file under paths: raw, and as
// hexadecimal digits with and without spaces.
func searchKey(k client.Key, paths ...string) (found []string, searched int64, err error) {
	text := k.Reveal()
	plain := strings.ReplaceAll(text, " ", "")
	forms := [][]byte{k[:], []byte(text), []byte(plain), []byte(strings.ToUpper(plain))}
	for _, root := range paths {
		err = errors.Join(err, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			searched += int64(len(b))
			for _, form := range forms {
				if bytes.Contains(b, form) {
					found = append(found, path)
				}
			}
			return err
		}))
	}
	return found, searched, err
}

func named(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	if len(paths) > 3 {
		paths = append(append([]string{}, paths[:3]...), "...")
	}
	return " (" + strings.Join(paths, ", ") + ")"
}
