//go:build linux || darwin

package scan

import (
	"io/fs"
	"syscall"
)

// StatOf takes the Stat out of what lstat gave.
func StatOf(info fs.FileInfo) Stat {
	s := Stat{Size: info.Size(), ModNanos: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ChangeNanos = changeNanos(sys)
		s.Inode, s.Device = sys.Ino, uint64(sys.Dev)
	}
	return s
}

// linksOf is how many names lead to the file.
func linksOf(info fs.FileInfo) uint64 {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 1
}

// blockBytes is the unit of st_blocks (stat(2)).
const blockBytes = 512

// Sparse tells whether a file takes less room than its size.
func Sparse(info fs.FileInfo) bool {
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && sys.Blocks*blockBytes < sys.Size
}

// gone tells whether no name leads to the file any more.
func gone(info fs.FileInfo) bool {
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}

// writable tells whether this process may make files in a folder.
func writable(folder string) bool { return syscall.Access(folder, accessWrite) == nil }

const accessWrite = 2 // W_OK of access(2)

// openPlainly opens what a path names and not what a link there leads to, and
// does not wait for a pipe's other end.
const openPlainly = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
