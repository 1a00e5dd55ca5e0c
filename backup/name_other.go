//go:build !linux

package backup

// nameBytes is the longest name that a folder's file system keeps, 0 if it
// does not say.
func nameBytes(string) int { return 0 }
