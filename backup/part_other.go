//go:build !linux && !darwin

package backup

import "io/fs"

// ownAlone tells whether a file is this user's and has one name: not known
// here, so nothing is gone on with.
func ownAlone(fs.FileInfo) bool { return false }
