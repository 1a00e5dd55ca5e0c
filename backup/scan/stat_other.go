//go:build !linux && !darwin

package scan

import "io/fs"

// StatOf takes the Stat out of what lstat gave: size and modification time
// alone, where the system shows no more.
func StatOf(info fs.FileInfo) Stat {
	return Stat{Size: info.Size(), ModNanos: info.ModTime().UnixNano()}
}

// linksOf is how many names lead to the file: not known here.
func linksOf(fs.FileInfo) uint64 { return 1 }

// Sparse tells whether a file takes less room than its size: not known here.
func Sparse(fs.FileInfo) bool { return false }

// gone tells whether no name leads to the file any more: not known here.
func gone(fs.FileInfo) bool { return false }

// writable tells whether this process may make files in a folder: not known
// here.
func writable(string) bool { return true }

// openPlainly: nothing to add to an opening here.
const openPlainly = 0
