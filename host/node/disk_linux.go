package node

import (
	"os"
	"syscall"
)

// syncData is fdatasync(2): the bytes and the length, not the times.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
