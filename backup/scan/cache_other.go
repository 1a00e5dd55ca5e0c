//go:build !linux

package scan

// Uncache has the next reads come from the disk: not known here.
func (f *File) Uncache() {}
