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

// heldMax is how many databases are kept open. Attack: a folder with ten
// thousand files of 512 bytes that begin like a database; held open, they use
// up the process's descriptors, and no backup ends any more. Those beyond are
// closed like any file, which is harmless but to a program that has more
// databases than this open in this very process.
const heldMax = 128

// magic begins every SQLite 3 database (SQLite file format, section 1.3.1).
const magic = "SQLite format 3\x00"

// databaseBytesMin is the smallest page.
const databaseBytesMin = 512

// betweenLookAndOpen is where a test plays the thief.
var betweenLookAndOpen = func() {}

// Open opens a regular file for reading and tells whether it is a SQLite
// database. Close gives it back.
func Open(path string) (f *File, database bool, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, notRegular(path)
	}
	if got := holding(StatOf(info)); got != nil {
		return &File{file: got, held: true}, true, nil
	}
	betweenLookAndOpen()
	// Attack: between the look above and here the file is replaced by a link to
	// somebody else's file, or by a pipe that nobody writes to, whose opening
	// would wait for ever. Neither is followed nor waited for.
	file, err := os.OpenFile(path, os.O_RDONLY|openPlainly, 0)
	if err != nil {
		return nil, false, err
	}
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, false, errors.Join(err, notRegular(path))
	}
	if !isDatabase(file) {
		return &File{file: file}, false, nil
	}
	kept, err := hold(file)
	if err != nil {
		return nil, false, err
	}
	return &File{file: file, held: kept}, true, nil
}

func notRegular(path string) error {
	return &os.PathError{Op: "open", Path: path, Err: errors.New("no regular file any more")}
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

// hold keeps a database's descriptor open if there is room (heldMax), and
// lets go of those whose files have no name any more.
func hold(f *os.File) (kept bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, errors.Join(err, f.Close())
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
	if len(held.files) >= heldMax {
		return false, nil
	}
	key := heldKey{s.Device, s.Inode}
	held.files[key] = append(held.files[key], f)
	return true, nil
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

// SkipHole goes on behind the next n bytes if they are a hole.
func (f *File) SkipHole(n int64) bool {
	if !f.hole(f.at, n) {
		return false
	}
	f.at += n
	return true
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
