package wall

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capset is capset(2) on every thread.
func capset(header *unix.CapUserHeader, data *[2]unix.CapUserData) error {
	err := everyThread(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	runtime.KeepAlive(header)
	runtime.KeepAlive(data)
	return err
}
