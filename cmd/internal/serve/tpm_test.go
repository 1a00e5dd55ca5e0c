package serve_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom/client"
	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/hsm/tpm"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// softwareTPM starts swtpm, a real TPM 2.0 in software, and gives its socket.
func softwareTPM(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("this test needs a software TPM: apt-get install swtpm (.ci/tpm does it)")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm")
	p := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	for range 1000 {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("swtpm does not open its socket")
	return ""
}

// TestTPM: a whole vault on a TPM. Its folder, put back whole as it was before
// a wrong guess, is refused: with the soft HSM that would give the guess back.
func TestTPM(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := config(data)
	c.HSM, c.TPMPath = "tpm", softwareTPM(t)
	vault := func(s *serve.Server) *client.Vault {
		tokens, err := s.IssueTokens("anna", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return &client.Vault{
			URL: s.URL, Pin: s.Pin, Account: "anna", Tokens: client.Tokens(tokens),
			Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: time.Millisecond,
		}
	}
	s := start(t, c)
	if s.Fleet.HSM != "tpm" || s.Fleet.Rollback != "tpm" || s.Beside {
		t.Fatalf("%+v", s.Fleet)
	}
	saved := client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
	if _, err := vault(s).Register(t.Context(), "four quiet otters", saved); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	older := filepath.Join(t.TempDir(), "older")
	if err := os.CopyFS(older, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	s = start(t, c)
	var wrong *client.ErrWrongPassword
	if _, _, err := vault(s).Recover(t.Context(), "four loud otters"); !errors.As(err, &wrong) || wrong.AttemptsLeft != 9 {
		t.Fatalf("a wrong password: %v", err)
	}
	s.Stop()
	putBack := c
	putBack.Data = older
	if _, err := serve.Start(t.Context(), putBack); !errors.Is(err, serve.ErrDamaged) || !strings.Contains(err.Error(), "the anchor stands at") {
		t.Fatalf("the folder of before the guess: %v", err)
	}

	c.HSM = "" // the fleet's document says it
	s = start(t, c)
	got, _, err := vault(s).Recover(t.Context(), "four quiet otters")
	if err != nil || got.Key != saved.Key {
		t.Fatalf("the right password: %v", err)
	}
	s.Stop()

	behindTheWall(t, c, saved)

	c.HSM, c.TPMPath = "tpm", c.TPMPath+".off"
	if _, err := serve.Start(t.Context(), c); !errors.Is(err, hal.ErrGone) {
		t.Errorf("no TPM: %v", err)
	}
	c.HSM = "soft"
	if _, err := serve.Start(t.Context(), c); !errors.Is(err, serve.ErrPolicy) {
		t.Errorf("another HSM: %v", err)
	}
	c.HSM, c.TPMPath = "", softwareTPM(t)
	if _, err := serve.Start(t.Context(), c); !errors.Is(err, tpm.ErrOther) || !errors.Is(err, serve.ErrDamaged) {
		t.Errorf("another TPM: %v", err)
	}
	for _, usage := range []serve.Config{{HSM: "abacus"}, {HSM: "tpm", Suite: serve.SuiteRistretto255}} {
		usage.Data, usage.Listen, usage.TPMPath = t.TempDir(), "127.0.0.1:0", c.TPMPath
		if _, err := serve.Start(t.Context(), usage); !errors.Is(err, serve.ErrUsage) && !errors.Is(err, serve.ErrPolicy) {
			t.Errorf("%s with %q: %v", usage.HSM, usage.Suite, err)
		}
	}
}

// TestInterruptedFounding: what a founding that was stopped left in folder and
// TPM is taken out by the next one.
func TestInterruptedFounding(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := config(data)
	c.HSM, c.TPMPath = "tpm", softwareTPM(t)
	for range 3 {
		start(t, c).Stop()
		line, err := net.Dial("unix", c.TPMPath)
		if err != nil {
			t.Fatal(err)
		}
		const indexes = 0x01000000 // the range of NV indexes (TPM 2.0 Part 2 §7.2)
		got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: indexes, PropertyCount: 100}.Execute(transport.FromReadWriter(line))
		if err != nil {
			t.Fatal(err)
		}
		found, err := got.CapabilityData.Data.Handles()
		if err != nil || len(found.Handle) != 3 { // two of the memory, one of the epoch
			t.Fatalf("%v in the TPM: %v", found, err)
		}
		line.Close()
		if err := os.Rename(filepath.Join(data, "vault"), filepath.Join(data, "founding")); err != nil {
			t.Fatal(err)
		}
	}
}

// behindTheWall serves the same vault from a box in its own process: of the
// TPM it holds the one line that it opened before.
func behindTheWall(t *testing.T, c serve.Config, saved client.Payload) {
	t.Helper()
	c.Box = serve.BoxProcess
	c.BoxCommand = []string{os.Args[0], cell.Command, journalOf(t), "none"}
	s := start(t, c)
	defer s.Stop()
	got, _, err := vaultClient(t, s, "anna").Recover(t.Context(), "four quiet otters")
	if err != nil || got.Key != saved.Key {
		t.Fatalf("behind the wall: %v", err)
	}
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.BoxPID))
	if err != nil || len(open) == 0 || len(s.Walls) == 0 {
		t.Fatal(err, open, s.Walls)
	}
	sockets := 0
	for _, f := range open {
		to, err := os.Readlink(f)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(to, "socket:"):
			sockets++
		case filepath.Base(to) == "tpm.lock", filepath.Base(to) == "journal", strings.HasPrefix(to, "pipe:"), strings.HasPrefix(to, "anon_inode:[event"):
		default:
			t.Errorf("descriptor %s is %s", filepath.Base(f), to)
		}
	}
	if sockets != 1 {
		t.Errorf("%d sockets are open: %v", sockets, open)
	}
}
