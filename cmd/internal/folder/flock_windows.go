package folder

import (
	"os"

	"golang.org/x/sys/windows"
)

// flock takes a lock that ends with the file, or fails at once.
func flock(f *os.File) error {
	const first, bytes = 0, 1
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, first, bytes, 0, &windows.Overlapped{})
}
