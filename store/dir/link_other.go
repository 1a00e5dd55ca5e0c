//go:build !linux

package dir

import "os"

// linkNew gives the file at temp the name path if that is free, else
// fs.ErrExist.
func linkNew(temp, path string) error { return os.Link(temp, path) }
