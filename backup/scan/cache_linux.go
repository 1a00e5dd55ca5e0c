package scan

import "golang.org/x/sys/unix"

// Uncache has the next reads come from the disk and not from memory, where
// what was written is on the disk (posix_fadvise(2), POSIX_FADV_DONTNEED).
func (f *File) Uncache() { _ = unix.Fadvise(int(f.file.Fd()), 0, 0, unix.FADV_DONTNEED) }
