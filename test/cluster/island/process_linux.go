package island

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawn is the one thread that starts processes: the kernel ends a child with
// the thread that made it (prctl(2), PR_SET_PDEATHSIG), not with the process.
var spawn = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start starts a process that does not outlive this one, however that ends.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error)
	spawn() <- func() { done <- cmd.Start() }
	return <-done
}
