package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/client"
	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/host/node"
	"strongroom/hsm/hsmtest"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// The box's process is this test's own binary. It writes each evaluation to
// the journal that its second argument names, and runs what its third says.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == cell.Command {
		if cell.Run(func(h hal.HAL) hal.HAL { return inChild(h, os.Args[2], os.Args[3]) }) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// inChild runs before the wall, what it gives runs behind it.
func inChild(h hal.HAL, journal, mischief string) hal.HAL {
	file, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	h = hsmtest.NewJournal(h, file)
	switch mischief {
	case "panics":
		return panicking{h}
	case "probes":
		return probing{h, file, filepath.Dir(journal)}
	case "broken":
		return broken{h, new(atomic.Bool)}
	}
	return h
}

type panicking struct{ hal.HAL }

func (panicking) MakeOPRFKey(hal.Group) ([]byte, []byte, error) { panic("a fault of the box") }

// broken has no durable memory once a key was made.
type broken struct {
	hal.HAL
	now *atomic.Bool
}

func (b broken) MakeOPRFKey(g hal.Group) ([]byte, []byte, error) {
	b.now.Store(true)
	return b.HAL.MakeOPRFKey(g)
}

func (b broken) WriteMemory(p []byte) error {
	if b.now.Load() {
		return hal.ErrGone
	}
	return b.HAL.WriteMemory(p)
}

// probing tries from inside the box that serves, in the middle of a request.
type probing struct {
	hal.HAL
	tell *os.File
	own  string
}

func (p probing) MakeOPRFKey(g hal.Group) ([]byte, []byte, error) {
	_, inet := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	_, local := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	_, netlink := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)
	_, read := os.ReadFile("/etc/passwd")
	write := os.WriteFile(filepath.Join(p.own, "new"), []byte("x"), 0o600)
	for name, err := range map[string]error{
		"inet": inet, "unix": local, "netlink": netlink, "read": read, "write": write,
		"exec": unix.Exec("/bin/true", []string{"true"}, nil), "ptrace": unix.PtraceAttach(os.Getppid()),
	} {
		fmt.Fprintf(p.tell, "probe %s: %v\n", name, errors.Is(err, unix.EPERM))
	}
	return p.HAL.MakeOPRFKey(g)
}

// boxed is a configuration whose box runs in a process.
func boxed(data, journal, mischief string) serve.Config {
	c := config(data)
	c.Box, c.BoxCommand = serve.BoxProcess, []string{os.Args[0], cell.Command, journal, mischief}
	c.AccountRate.PerSecond, c.AccountRate.Burst = 1e5, 1e5
	c.AddressRate = c.AccountRate
	return c
}

func journalOf(t *testing.T) string { return filepath.Join(t.TempDir(), "journal") }

func lines(t *testing.T, journal string) int {
	t.Helper()
	b, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// gone waits until a process is no more (or only its entry is left).
func gone(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Fatalf("process %d lives on", pid)
}

var aPayload = client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}

// The life of a record through a box of its own process: enabled, wrong,
// right, wrong to the end, destroyed, also after a start anew; counted at the
// HSM's door inside the other process.
func TestStoryThroughProcess(t *testing.T) {
	data, journal := t.TempDir(), journalOf(t)
	c := boxed(data, journal, "none")
	c.TicketLifetime = 10 * time.Second
	s := start(t, c)
	if s.Fleet.Isolation != "process" || s.BoxPID == 0 || s.BoxPID == os.Getpid() || len(s.Walls) == 0 {
		t.Fatalf("isolation %q, process %d, walls %q", s.Fleet.Isolation, s.BoxPID, s.Walls)
	}
	v := vaultClient(t, s, "anna")
	if _, err := v.Register(t.Context(), right, aPayload); err != nil {
		t.Fatal(err)
	}
	var wrong *client.ErrWrongPassword
	if _, _, err := v.Recover(t.Context(), "a wrong password"); !errors.As(err, &wrong) || wrong.AttemptsLeft != 9 {
		t.Fatal(err)
	}
	if p, _, err := v.Recover(t.Context(), right); err != nil || p.Key != aPayload.Key {
		t.Fatal(err)
	}
	before := lines(t, journal)
	for i := range 10 {
		if _, _, err := v.Recover(t.Context(), fmt.Sprint("wrong password ", i)); !errors.As(err, &wrong) {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	if _, _, err := v.Recover(t.Context(), right); !errors.Is(err, client.ErrExhausted) && !errors.Is(err, client.ErrDestroyed) {
		t.Fatal(err)
	}
	if n := lines(t, journal) - before; n != 10 {
		t.Fatalf("%d evaluations for 10 attempts", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for !errors.Is(err, client.ErrDestroyed) {
		if _, _, err = v.Recover(ctx, right); ctx.Err() != nil {
			t.Fatalf("never destroyed: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	gone(t, s.BoxPID)
	s = start(t, boxed(data, journal, "none"))
	if _, _, err := vaultClient(t, s, "anna").Recover(t.Context(), right); !errors.Is(err, client.ErrDestroyed) {
		t.Fatalf("after a start anew: %v", err)
	}
}

// The kernel's own word for the box that serves, seen from outside; and from
// inside, in the middle of a request.
func TestServingBoxIsConfined(t *testing.T) {
	journal := journalOf(t)
	s := start(t, boxed(t.TempDir(), journal, "probes"))
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, aPayload); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inet", "unix", "netlink", "read", "write", "exec", "ptrace"} {
		if !strings.Contains(string(b), "probe "+name+": true\n") {
			t.Errorf("%s: %s", name, b)
		}
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", s.BoxPID))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%s does not say %q", task, want)
			}
		}
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.BoxPID))
	if err != nil || len(open) == 0 {
		t.Fatal(err)
	}
	for _, f := range open {
		to, err := os.Readlink(f)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Base(to) {
		case "hsm.lock", "hsm.memory", "hsm.epochs", "journal", "anon_inode:[eventpoll]", "anon_inode:[eventfd]":
		default:
			if !strings.HasPrefix(to, "pipe:") {
				t.Errorf("descriptor %s is %s", filepath.Base(f), to)
			}
		}
	}
	for _, name := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.BoxPID, name))
		if err != nil || len(b) == 0 {
			t.Fatal(name, err)
		}
		if passphrase := passphraseOf(t, s.Data); bytes.Contains(b, passphrase) || bytes.Contains(b, []byte("HOME=")) {
			t.Errorf("%s: %q", name, b)
		}
	}
}

func passphraseOf(t *testing.T, data string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "vault", "hsm.passphrase"))
	if err != nil || len(b) < 12 {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b)
}

// kill -9 of the box stops the node, which says how it ended; started again
// on the same folder it has all that it acknowledged.
func TestKilledBoxStopsTheNode(t *testing.T) {
	data, journal := t.TempDir(), journalOf(t)
	s := start(t, boxed(data, journal, "none"))
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, aPayload); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.BoxPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Err(); !errors.Is(err, node.ErrBoxEnded) || !strings.Contains(err.Error(), "killed") {
		t.Fatal(err)
	}
	s = start(t, boxed(data, journal, "none"))
	if p, _, err := vaultClient(t, s, "anna").Recover(t.Context(), right); err != nil || p.Key != aPayload.Key {
		t.Fatal(err)
	}
}

// A fault of the box is told by its message, without the stacks of a process
// full of keys.
func TestPanickingBox(t *testing.T) {
	s := start(t, boxed(t.TempDir(), journalOf(t), "panics"))
	v := vaultClient(t, s, "anna")
	v.Timeout = 5 * time.Second
	if _, err := v.Register(t.Context(), right, aPayload); err == nil {
		t.Fatal("registered")
	}
	<-s.Done()
	if err := s.Err(); !errors.Is(err, node.ErrBoxEnded) || !strings.Contains(err.Error(), "a fault of the box") || strings.Contains(err.Error(), "goroutine") {
		t.Fatal(err)
	}
}

// An HSM that fails while it serves is the reason, in the box's words.
func TestFailingHSMBehindThePipe(t *testing.T) {
	s := start(t, boxed(t.TempDir(), journalOf(t), "broken"))
	v := vaultClient(t, s, "anna")
	v.Timeout = 5 * time.Second
	if _, err := v.Register(t.Context(), right, aPayload); err == nil {
		t.Fatal("registered without a durable memory")
	}
	<-s.Done()
	var fault *node.BoxFault
	if !errors.As(s.Err(), &fault) || fault.Fault != wire.FaultStopped {
		t.Fatal(s.Err())
	}
}

// What is wrong at the start has the same name as in one process.
func TestProcessStartErrors(t *testing.T) {
	data, journal := t.TempDir(), journalOf(t)
	c := boxed(data, journal, "none")
	c.Passphrase = []byte("correct horse battery")
	s := start(t, c)
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, aPayload); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	refused := func(name string, want error, change func(*serve.Config)) {
		t.Helper()
		c := boxed(data, journal, "none")
		c.Passphrase = []byte("correct horse battery")
		change(&c)
		if s, err := serve.Start(t.Context(), c); !errors.Is(err, want) {
			if err == nil {
				s.Stop()
			}
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("another passphrase", serve.ErrPassphrase, func(c *serve.Config) { c.Passphrase = []byte("another passphrase") })
	refused("less than the document promises", serve.ErrPolicy, func(c *serve.Config) { c.Box = serve.BoxInside })
	refused("no such program", os.ErrNotExist, func(c *serve.Config) { c.BoxCommand = []string{filepath.Join(data, "nothing")} })
	refused("not a box", node.ErrBoxEnded, func(c *serve.Config) { c.BoxCommand = []string{"/bin/false"} })
	hsm := filepath.Join(data, "vault", "hsm", "hsm.memory")
	whole, err := os.ReadFile(hsm)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hsm, whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a torn memory", serve.ErrDamaged, func(*serve.Config) {})
	if err := os.WriteFile(hsm, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(data, "vault", "log")
	if err := os.Rename(log, log+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(log, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("no log", serve.ErrDamaged, func(*serve.Config) {})
}

// The document says what the fleet was made with, and never more.
func TestIsolationIsFixedAtTheMaking(t *testing.T) {
	data := t.TempDir()
	s := start(t, config(data))
	if s.Fleet.Isolation != "none" || s.BoxPID != 0 || s.Walls != nil {
		t.Fatalf("%q, %d", s.Fleet.Isolation, s.BoxPID)
	}
	pin := s.Pin
	s.Stop()
	s = start(t, boxed(data, journalOf(t), "none"))
	if s.Fleet.Isolation != "none" || s.Pin != pin || s.BoxPID == 0 {
		t.Fatalf("over a box in a process: %q, %d", s.Fleet.Isolation, s.BoxPID)
	}
	s.Stop()

	data = t.TempDir()
	c := boxed(data, journalOf(t), "none")
	start(t, c).Stop()
	c.Box = "" // the document decides
	if s = start(t, c); s.BoxPID == 0 {
		t.Fatal("a fleet that promises a process is served without one")
	}
}

// An empty body is the client's fault: it must not end the box for all.
func TestEmptyAndLargestRequests(t *testing.T) {
	s := start(t, boxed(t.TempDir(), journalOf(t), "none"))
	tokens, err := s.IssueTokens("anna", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, wire.RequestBytesMax, wire.RequestBytesMax + 1} {
		if code, b := post(t, s.URL, tokens.Relay, make([]byte, n)); code == http.StatusOK {
			t.Fatalf("%d zeros were answered: %q", n, b)
		}
	}
	if _, err := vaultClient(t, s, "anna").Register(t.Context(), right, aPayload); err != nil {
		t.Fatal(err)
	}
}

func TestPIDsAreReal(t *testing.T) {
	s := start(t, boxed(t.TempDir(), journalOf(t), "none"))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.BoxPID))
	if err != nil || !strings.Contains(string(status), "PPid:\t"+strconv.Itoa(os.Getpid())+"\n") {
		t.Fatalf("%v: %s", err, status)
	}
}
