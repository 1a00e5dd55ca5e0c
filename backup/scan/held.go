package scan

import (
	"errors"
	"io"
	"os"
	"sync"
)

// POSIX drops every lock that a process has on a file when the process
// closes any descriptor of it (fcntl(2), "Advisory record locking"). SQLite
// locks with them. So if somebody in this process has a database open and
// this package opened and closed the file to look at it:
//
//  1. the locks of that connection are gone, and nobody notices;
//  2. another process writes or checkpoints while it reads or writes;
//  3. the database is corrupt.
//
// Therefore a file that proves to be a database stays open, once for each
// file, until the last name of it is gone.
var held = struct {
	sync.Mutex
	files map[heldKey][]*os.File // guarded by Mutex
}{files: map[heldKey][]*os.File{}}

type heldKey struct{ device, inode uint64 }

// magic begins every SQLite 3 database (SQLite file format, section 1.3.1).
const magic = "SQLite format 3\x00"

// databaseBytesMin is the smallest page.
const databaseBytesMin = 512

// Open opens a regular file for reading and tells whether it is a SQLite
// database. Close gives it back.
func Open(path string) (f *File, database bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, &os.PathError{Op: "open", Path: path, Err: errors.New("no regular file any more")}
	}
	if got := holding(StatOf(info)); got != nil {
		return &File{file: got, held: true}, true, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	if !isDatabase(file) {
		return &File{file: file}, false, nil
	}
	if err := hold(file); err != nil {
		return nil, false, err
	}
	return &File{file: file, held: true}, true, nil
}

func isDatabase(f *os.File) bool {
	var b [databaseBytesMin]byte
	n, _ := io.ReadFull(io.NewSectionReader(f, 0, int64(len(b))), b[:])
	return n == len(b) && string(b[:len(magic)]) == magic
}

// holding gives the open descriptor of a file already known as a database.
func holding(s Stat) *os.File {
	held.Lock()
	defer held.Unlock()
	if files := held.files[heldKey{s.Device, s.Inode}]; len(files) > 0 && s.Inode != 0 {
		return files[0]
	}
	return nil
}

// hold keeps a database's descriptor open, and lets go of those whose files
// have no name any more.
func hold(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s := StatOf(info)
	held.Lock()
	defer held.Unlock()
	for key, files := range held.files {
		if info, err := files[0].Stat(); err == nil && gone(info) {
			for _, old := range files {
				old.Close()
			}
			delete(held.files, key)
		}
	}
	key := heldKey{s.Device, s.Inode}
	held.files[key] = append(held.files[key], f)
	return nil
}

// File is an open regular file, read from its beginning.
type File struct {
	file *os.File
	held bool // a database's: stays open
	at   int64
}

// Read reads on.
func (f *File) Read(b []byte) (int, error) {
	n, err := f.file.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Rewind reads from the beginning again.
func (f *File) Rewind() { f.at = 0 }

// Stat is the file's state now.
func (f *File) Stat() (Stat, error) {
	info, err := f.file.Stat()
	if err != nil {
		return Stat{}, err
	}
	return StatOf(info), nil
}

// Close gives the file back.
func (f *File) Close() error {
	if f.held {
		return nil
	}
	return f.file.Close()
}
