//go:build linux || darwin

package backup

import (
	"io/fs"
	"os"
	"syscall"
)

// ownAlone tells whether a file is this user's and has one name.
func ownAlone(info fs.FileInfo) bool {
	sys, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid() && sys.Nlink == 1
}
