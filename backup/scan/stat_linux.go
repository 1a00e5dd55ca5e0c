package scan

import "syscall"

// changeNanos is when the file's state last changed, in Unix nanoseconds.
func changeNanos(s *syscall.Stat_t) int64 { return s.Ctim.Nano() }
