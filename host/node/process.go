package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"strongroom/protocol/wire"
)

// Limits of a box's process.
const (
	stopProcessWithin  = 5 * time.Second // then it is killed
	lastWordsBytesMax  = 2 << 10         // of its standard error that are kept
	endedProcessWithin = 2 * time.Second // between the end of its pipe and its own
)

// Process is a Box in a process of its own. The two pipes are all that it
// gets: no folder, no environment of ours, no descriptor.
type Process struct {
	*Pipe
	command *exec.Cmd
	words   lastWords
	r       *os.File
	exited  chan struct{} // closed when the process was reaped
}

// StartProcess starts the program that command names and opens its pipe. The
// start's secret is forgotten when it was sent. Errors as OpenPipe's.
func StartProcess(command []string, start wire.Start, disk wire.Disk) (*Process, error) {
	defer clear(start.HSM.Secret)
	p := &Process{command: exec.Command(command[0], command[1:]...), exited: make(chan struct{})}
	p.command.Dir = "/"
	// Go's runtime opens files of its control group unless told not to; how
	// many cores there are it is told.
	p.command.Env = []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOTRACEBACK=none", "GOMAXPROCS=" + strconv.Itoa(runtime.GOMAXPROCS(0))}
	p.command.Stderr = &p.words
	isolate(p.command)
	r, w, err := p.start()
	if err != nil {
		return nil, fmt.Errorf("node: starting the box's process: %w", err)
	}
	p.r = r
	if p.Pipe, err = OpenPipe(r, w, start, disk, p.howEnded); err != nil {
		w.Close()
		p.await()
		r.Close()
		return nil, err
	}
	return p, nil
}

// start starts the process from a thread that lives as long as it does: the
// kernel kills the box when that thread ends (PR_SET_PDEATHSIG).
func (p *Process) start() (r, w *os.File, err error) {
	theirIn, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	r, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, theirIn.Close(), w.Close())
	}
	p.command.Stdin, p.command.Stdout = theirIn, theirOut
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.command.Start()
		// Its ends must not stay open here: their end is how a death is seen.
		theirIn.Close()
		theirOut.Close()
		started <- err
		if err == nil {
			_ = p.command.Wait()
		}
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, w, nil
}

// howEnded says how the process ended, once its pipe is closed.
func (p *Process) howEnded() string {
	select {
	case <-p.exited:
	case <-time.After(endedProcessWithin):
		return "it closed its pipe and runs on"
	}
	how := p.command.ProcessState.String()
	if words := p.words.String(); words != "" {
		how += ": " + words
	}
	return how
}

// PID is the process's id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Close stops the process and waits for its end.
func (p *Process) Close() {
	p.Pipe.Close()
	p.await()
	<-p.done
	p.r.Close()
}

func (p *Process) await() {
	select {
	case <-p.exited:
	case <-time.After(stopProcessWithin):
		_ = p.command.Process.Kill()
		<-p.exited
	}
}

// lastWords keeps the end of what a process says before it dies. exec.Cmd
// writes to it from one goroutine, which has ended when exited is closed.
type lastWords struct{ bytes []byte }

func (l *lastWords) Write(b []byte) (int, error) {
	l.bytes = append(l.bytes, b...)
	if over := len(l.bytes) - lastWordsBytesMax; over > 0 {
		l.bytes = append([]byte(nil), l.bytes[over:]...)
	}
	return len(b), nil
}

// String is one line, without what would play with a terminal.
func (l *lastWords) String() string {
	return strings.Trim(strconv.Quote(strings.TrimSpace(string(l.bytes))), `"`)
}
