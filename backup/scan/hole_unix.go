//go:build linux || darwin

package scan

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hole tells whether the n bytes from at on are a hole in the file: zeros that
// nobody wrote (lseek(2), SEEK_DATA). The file's own offset moves: it is read
// at places only.
func (f *File) hole(at, n int64) bool {
	data, err := unix.Seek(int(f.file.Fd()), at, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && data >= at+n
}
