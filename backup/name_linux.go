package backup

import "golang.org/x/sys/unix"

// nameBytes is the longest name that a folder's file system keeps, 0 if it
// does not say.
func nameBytes(folder string) int {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return 0
	}
	return int(s.Namelen)
}
