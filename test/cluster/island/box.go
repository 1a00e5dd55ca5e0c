//go:build linux

package island

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startWithin = time.Minute
	stopWithin  = 30 * time.Second
)

// Box is one box of an island, running or not.
type Box struct {
	Number int
	Data   string // its folder
	island *Island

	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	err   error         // why, once it has
}

func newBox(i *Island, number int) *Box {
	return &Box{Number: number, Data: i.path(fmt.Sprintf("box%d", number)), island: i}
}

// URL is where its relay serves.
func (b *Box) URL() string {
	if b.island.Plain {
		return "http://" + b.at(publicPort)
	}
	return "https://" + b.at(publicPort)
}

// Admin is where it shows metrics and status.
func (b *Box) Admin() string { return "http://" + b.at(adminPort) }

func (b *Box) at(port int) string {
	return net.JoinHostPort(b.island.Network.Host(b.Number), fmt.Sprint(port))
}

func (b *Box) logFile() string { return b.Data + ".log" }

// Start starts the process and waits until it says that it serves.
func (b *Box) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running() {
		return fmt.Errorf("box %d runs already", b.Number)
	}
	cmd := b.command()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(b.logFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		log.Close()
		return err
	}
	b.cmd, b.ended = cmd, make(chan struct{})
	serving := make(chan struct{})
	go b.listen(cmd, stderr, log, b.ended, serving)
	select {
	case <-serving:
		return nil
	case <-b.ended:
		return fmt.Errorf("box %d ended before it served: %w", b.Number, errors.Join(b.err, errors.New(b.island.Words())))
	case <-time.After(startWithin):
		cmd.Process.Kill()
		return fmt.Errorf("box %d did not serve within %v", b.Number, startWithin)
	}
}

// listen keeps what the process says, until its end.
func (b *Box) listen(cmd *exec.Cmd, said io.Reader, log io.WriteCloser, ended, serving chan struct{}) {
	defer log.Close()
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintf(log, "%s\n", lines.Bytes())
		var line struct{ Msg string }
		if serving != nil && json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			close(serving)
			serving = nil
		}
	}
	b.err = cmd.Wait()
	close(ended)
}

func (b *Box) command() *exec.Cmd {
	i := b.island
	args := append([]string{"serve", "--data", b.Data, "--listen", b.at(publicPort), "--admin", b.at(adminPort),
		"--passphrase-file", i.path("passphrase"), "--log-format", "json",
		"--address-per-second", noLimit, "--address-burst", noLimit, "--account-per-second", noLimit, "--account-burst", noLimit}, i.Flags...)
	if !i.Plain {
		args = append(args, "--tls-cert", i.certificate.file, "--tls-key", i.certificate.key)
	}
	if i.Boxes == 1 {
		args = append(args, "--issuer-key", i.path("issuer.pem"))
		for name, value := range i.Rules {
			args = append(args, "--"+strings.ReplaceAll(name, "_", "-"), fmt.Sprint(value))
		}
	}
	return i.Network.Command(b.Number, i.Program, args...)
}

// running: the process was started and has not ended. Paused ones run.
func (b *Box) running() bool {
	if b.cmd == nil {
		return false
	}
	select {
	case <-b.ended:
		return false
	default:
		return true
	}
}

// PID is the process's.
func (b *Box) PID() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cmd.Process.Pid
}

// Runs tells whether the process runs.
func (b *Box) Runs() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running()
}

// Kill ends the process as a power cut would, and waits for its end.
func (b *Box) Kill() { b.end(syscall.SIGKILL) }

// Shut ends it in good order, and says how it ended.
func (b *Box) Shut() error { return b.end(syscall.SIGTERM) }

func (b *Box) end(signal syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running() {
		return nil
	}
	_ = b.cmd.Process.Signal(signal)
	select {
	case <-b.ended:
		return b.err
	case <-time.After(stopWithin):
		b.cmd.Process.Kill()
		<-b.ended
		return fmt.Errorf("box %d did not end within %v of signal %v", b.Number, stopWithin, signal)
	}
}

// Pause stops the process where it stands (SIGSTOP), Resume lets it go on.
func (b *Box) Pause() error  { return b.cmd.Process.Signal(syscall.SIGSTOP) }
func (b *Box) Resume() error { return b.cmd.Process.Signal(syscall.SIGCONT) }

// Save copies the data folder of a box that does not run, under a name.
func (b *Box) Save(name string) error {
	if b.Runs() {
		return fmt.Errorf("box %d runs: a copy of its folder would be of no one moment", b.Number)
	}
	to := b.saved(name)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(b.Data))
}

// PutBack puts that copy in the place of the folder as it is now: everything
// in it, a software HSM too.
func (b *Box) PutBack(name string) error {
	if b.Runs() {
		return fmt.Errorf("box %d runs", b.Number)
	}
	if err := os.RemoveAll(b.Data); err != nil {
		return err
	}
	if err := os.CopyFS(b.Data, os.DirFS(b.saved(name))); err != nil {
		return err
	}
	return os.Chmod(b.Data, 0o700)
}

func (b *Box) saved(name string) string {
	return filepath.Join(b.island.Dir, fmt.Sprintf("box%d-%s", b.Number, name))
}
