//go:build !linux

package soft

// Sync waits for all of the file: only Linux has the call for its data alone.
func (f diskFile) Sync() error { return f.File.Sync() }
