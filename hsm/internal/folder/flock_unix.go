//go:build unix

package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock takes a lock that ends with the file, or fails at once.
func flock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
