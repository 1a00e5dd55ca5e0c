package node

import (
	"math"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate has the box die with this process, keeps a terminal's Ctrl-C from
// it (its end is ordered over the pipe), and lets it inherit nothing that
// this process was itself given by accident.
func isolate(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // the box closes what is left
}
