package tpm

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"strongroom/hsm/hsmtest"
	"strongroom/vault/hal"
)

// emulator is a real TPM 2.0 in software: swtpm, one process each.
type emulator struct {
	state, socket string
	process       *exec.Cmd
}

func newEmulator(t testing.TB) *emulator {
	t.Helper()
	dir := t.TempDir()
	e := &emulator{state: filepath.Join(dir, "state"), socket: filepath.Join(dir, "tpm")}
	if err := os.Mkdir(e.state, 0o700); err != nil {
		t.Fatal(err)
	}
	e.start(t)
	t.Cleanup(e.kill)
	return e
}

func (e *emulator) start(t testing.TB) {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("these tests need a software TPM: apt-get install swtpm (.ci/tpm does it)")
	}
	_ = os.Remove(e.socket)
	e.process = exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+e.state,
		"--server", "type=unixio,path="+e.socket, "--flags", "not-need-init,startup-clear")
	e.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.process.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if c, err := net.Dial("unix", e.socket); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not open its socket")
}

// kill is kill -9.
func (e *emulator) kill() {
	if e.process != nil {
		_ = e.process.Process.Kill()
		_ = e.process.Wait()
		e.process = nil
	}
}

// maker gives each HSM a TPM of its own behind a tap, and a folder.
type maker struct{ taps *sync.Map } // by path

func newMaker() maker { return maker{new(sync.Map)} }

func (maker) Groups() []hal.Group { return []hal.Group{hal.P256} }

func (m maker) New(t *testing.T) hal.HAL {
	h, p, _ := tapped(t)
	m.taps.Store(p.socket, p)
	return h
}

func (m maker) tap(h hal.HAL) *tap {
	p, _ := m.taps.Load(h.(*HSM).options.Path)
	return p.(*tap)
}

func (maker) Reopen(t *testing.T, h hal.HAL) hal.HAL {
	return reopen(t, h.(*HSM), h.(*HSM).options)
}

// Rival uses the same TPM with a copy of the folder, so of the lock.
func (maker) Rival(t *testing.T, h hal.HAL) hal.HAL {
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(h.(*HSM).folder.dir)); err != nil {
		t.Fatal(err)
	}
	rival, err := Open(copied, h.(*HSM).options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rival.Close() })
	return rival
}

// PutBack puts back the whole folder: all that lies outside the TPM. The TPM's
// own state put back, which is a folder with swtpm, is a TPM that was taken
// apart: no promise holds then.
func (maker) PutBack(t *testing.T, h hal.HAL, change func(hal.HAL)) hal.HAL {
	before, o := t.TempDir(), h.(*HSM).options
	if err := os.CopyFS(before, os.DirFS(h.(*HSM).folder.dir)); err != nil {
		t.Fatal(err)
	}
	change(h)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(before, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func reopen(t testing.TB, h *HSM, o Options) *HSM {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(h.folder.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func TestContract(t *testing.T) { hsmtest.Run(t, newMaker()) }

// tap sits between HSM and TPM, as one sits at a bus: it sees every byte and
// may answer in the TPM's place, be slow or cut the line. Unlike swtpm it
// serves many at once, one command at a time, as /dev/tpmrm0 does.
type tap struct {
	socket   string
	upstream string
	emulator *emulator

	mu   sync.Mutex
	hook func(command []byte) verdict // under mu
	seen []byte                       // under mu: all bytes of both ways

	line sync.Mutex
	tpm  net.Conn // under line; nil without a TPM
}

type verdict struct {
	answer []byte        // in the TPM's place
	cut    bool          // before the TPM has the command
	lose   bool          // after the TPM did it: its answer is lost
	wait   time.Duration // before the answer is handed on
	change func(answer []byte)
}

func newTap(t testing.TB, e *emulator) *tap {
	t.Helper()
	p := &tap{socket: filepath.Join(t.TempDir(), "tap"), upstream: e.socket, emulator: e}
	l, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait(); p.hangUp() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(c) })
		}
	})
	return p
}

// ask hands a command to the TPM.
func (p *tap) ask(command []byte) (answer []byte, err error) {
	p.line.Lock()
	defer p.line.Unlock()
	if p.tpm == nil {
		if p.tpm, err = net.Dial("unix", p.upstream); err != nil {
			p.tpm = nil
			return nil, err
		}
	}
	if _, err = p.tpm.Write(command); err == nil {
		answer, err = readMessage(p.tpm)
	}
	if err != nil {
		_ = p.tpm.Close()
		p.tpm = nil
	}
	return answer, err
}

// hangUp gives the TPM free for another connection.
func (p *tap) hangUp() {
	p.line.Lock()
	defer p.line.Unlock()
	if p.tpm != nil {
		_ = p.tpm.Close()
		p.tpm = nil
	}
}

func (p *tap) set(hook func(command []byte) verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

// judge asks the hook without the lock: it may use the TPM itself.
func (p *tap) judge(command []byte) verdict {
	p.mu.Lock()
	p.seen = append(p.seen, command...)
	hook := p.hook
	p.mu.Unlock()
	if hook == nil {
		return verdict{}
	}
	return hook(command)
}

func (p *tap) record(answer []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, answer...)
}

func (p *tap) serve(client net.Conn) {
	defer client.Close()
	for {
		command, err := readMessage(client)
		if err != nil {
			return
		}
		v := p.judge(command)
		if v.cut {
			return
		}
		answer := v.answer
		if answer == nil {
			if answer, err = p.ask(command); err != nil {
				return
			}
			p.record(answer)
		}
		if v.change != nil {
			v.change(answer)
		}
		time.Sleep(v.wait)
		if v.lose {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	b := make([]byte, headerBytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(b[2:])-headerBytes)
	_, err := io.ReadFull(r, rest)
	return append(b, rest...), err
}

// refusal is a response without sessions that carries a code only.
func refusal(code uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0x8001)
	b = binary.BigEndian.AppendUint32(b, headerBytes)
	return binary.BigEndian.AppendUint32(b, code)
}

func commandCode(command []byte) uint32 { return binary.BigEndian.Uint32(command[6:]) }
