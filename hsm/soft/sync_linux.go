package soft

import "golang.org/x/sys/unix"

func (f diskFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }
