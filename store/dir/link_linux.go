package dir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// linkNew gives the file at temp the name path if that is free, else
// fs.ErrExist. Where the file system knows no hard links (FAT, Android's
// storage) a rename that replaces nothing does the same.
func linkNew(temp, path string) error {
	err := os.Link(temp, path)
	noLinks := errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) ||
		errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS)
	if !noLinks {
		return err
	}
	return renameNew(temp, path)
}

func renameNew(temp, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: temp, New: path, Err: err}
	}
	return nil
}
