package tpm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openDevice leaves the file in blocking mode: in the other one, Linux answers
// "end of file" until the TPM has its response.
func openDevice(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// lockDevice has the memory at an NV index for itself as long as the file is
// open: of the device that all of this machine share, one byte of a lock that
// belongs to the open file (fcntl(2), F_OFD_SETLK), at the index's number, so
// that other vaults in the same TPM go on. A copy of the folder brings a copy of
// the folder's lock; it brings none of this one.
func lockDevice(f *os.File, index uint32) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(index), Len: 1}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w, over this TPM", ErrLocked)
	}
	return err
}
