//go:build linux

package canary

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
)

// This test's own binary is also the leaky process, the tap of a pipe, and
// the box behind that tap.
const tapCommand = "tap"

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(leakyVariable) != "":
		err = leaky()
	case len(os.Args) > 2 && os.Args[1] == tapCommand:
		err = tapPipe(os.Args[2])
	case len(os.Args) > 1 && os.Args[1] == cell.Command:
		err = cell.Run(nil)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// vault is strongroomd in a process of its own.
type vault struct {
	t          *testing.T
	program    string
	data       string
	passphrase string // a file
	command    *exec.Cmd
	box        int
	address    string
	admin      string
	pin        bundle.Pin
	out, log   *lines
}

// build builds strongroomd as `make build` does.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "strongroomd")
	command := exec.Command("go", "build", "-o", program, "strongroom/cmd/strongroomd")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

func newVault(t *testing.T, program string, passphrase *secret) *vault {
	t.Helper()
	dir := t.TempDir()
	v := &vault{t: t, program: program, data: filepath.Join(dir, "data"), passphrase: filepath.Join(dir, "passphrase")}
	must(t, os.WriteFile(v.passphrase, passphrase.bytes, 0o600))
	t.Cleanup(func() {
		if v.command != nil {
			v.command.Process.Kill()
			v.command.Wait()
		}
	})
	return v
}

func (v *vault) serve() {
	v.t.Helper()
	v.command = exec.Command(v.program, "serve", "--data", v.data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--box", "process",
		"--passphrase-file", v.passphrase, "--waits", "none", "--reset-delay", resetDelay.String(), "--ticket-lifetime", ticketLifetime.String(), "--log-level", "debug", "--log-format", "json",
		"--account-per-second", "1e5", "--account-burst", "100000", "--address-per-second", "1e5", "--address-burst", "100000")
	stdout, err := v.command.StdoutPipe()
	must(v.t, err)
	stderr, err := v.command.StderrPipe()
	must(v.t, err)
	must(v.t, v.command.Start())
	type hello struct {
		Msg, URL, Admin, Pin string
		Process              int
	}
	serving := make(chan hello, 1)
	v.out = readLines(stdout, func([]byte) {})
	v.log = readLines(stderr, func(line []byte) {
		var h hello
		if json.Unmarshal(line, &h) != nil {
			return
		}
		if h.Process != 0 {
			v.box = h.Process
		}
		if h.Msg == "serving" {
			serving <- h
		}
	})
	select {
	case h := <-serving:
		v.address, v.admin = strings.TrimPrefix(h.URL, "http://"), h.Admin
		v.pin, err = bundle.ParsePin(h.Pin)
		must(v.t, err)
	case <-v.log.ended:
		v.t.Fatalf("strongroomd did not start: %s", v.log.seen())
	case <-time.After(time.Minute):
		v.t.Fatal("strongroomd does not start")
	}
	if v.box == 0 || v.box == v.command.Process.Pid {
		v.t.Fatalf("its box is process %d", v.box)
	}
}

func (v *vault) stop() {
	v.t.Helper()
	v.command.Process.Signal(syscall.SIGTERM)
	<-v.log.ended
	<-v.out.ended
	must(v.t, v.command.Wait())
}

// quit ends it with the trace that Go writes at SIGQUIT.
func (v *vault) quit() {
	v.t.Helper()
	v.command.Process.Signal(syscall.SIGQUIT)
	<-v.log.ended
	<-v.out.ended
	if v.command.Wait() == nil || !strings.Contains(string(v.log.seen()), "goroutine ") {
		v.t.Fatalf("no trace at SIGQUIT: %s", v.log.seen())
	}
	v.command = nil
}

// hunt looks through what the host has while it runs.
func (v *vault) hunt(h *hunt) {
	h.t.Helper()
	h.folder(v.data)
	if underRace {
		return
	}
	must(h.t, h.memory("memory of the host", v.command.Process.Pid))
	err := h.memory("memory of the box", v.box)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		h.t.Log("the wall keeps the box's memory from us; run as root to look into it")
		h.bytes["memory of the box"] = 1 << 20
		err = nil
	}
	must(h.t, err)
}

// tapped is a vault in this process with its box behind a tap.
type tapped struct {
	data, captures string
	server         *serve.Server
}

func startTapped(t *testing.T) *tapped {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	v := &tapped{data: t.TempDir(), captures: t.TempDir()}
	free := relay.Rate{PerSecond: 1e5, Burst: 1e5}
	v.server, err = serve.Start(t.Context(), serve.Config{
		Data: v.data, Listen: "127.0.0.1:0", Admin: serve.AdminOff, Waits: serve.WaitsNone, ResetDelay: resetDelay, TicketLifetime: ticketLifetime, Stretch: soft.Cheap,
		AddressRate: free, AccountRate: free, Box: serve.BoxProcess, BoxCommand: []string{self, tapCommand, v.captures},
	})
	must(t, err)
	t.Cleanup(func() { v.server.Stop() })
	return v
}

func (v *tapped) capture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(v.captures, name))
	must(t, err)
	return data
}

// tapPipe is the tap's process: it stands where the box would, starts the box
// and keeps what passes.
func tapPipe(captures string) error {
	in, err := os.Create(filepath.Join(captures, "in"))
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(captures, "out"))
	if err != nil {
		return err
	}
	box := exec.Command(os.Args[0], cell.Command)
	to, err := box.StdinPipe()
	if err != nil {
		return err
	}
	box.Stdout = io.MultiWriter(os.Stdout, out)
	if err := box.Start(); err != nil {
		return err
	}
	go func() {
		io.Copy(io.MultiWriter(to, in), os.Stdin)
		to.Close()
	}()
	return box.Wait()
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK || len(body) == 0 {
		t.Fatalf("%s: %s, %d bytes", url, response.Status, len(body))
	}
	return body
}

// awaitBytes waits until what another goroutine collects has come to rest.
func awaitBytes(t *testing.T, seen func() []byte) {
	t.Helper()
	last := -1
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if n := len(seen()); n > 0 && n == last {
			return
		} else {
			last = n
		}
	}
	t.Fatal("nothing came, or it never ends")
}
