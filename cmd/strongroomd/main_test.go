package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/client"
	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// childEnv makes this test binary the program itself.
const childEnv = "STRONGROOMD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" || len(os.Args) > 1 && os.Args[1] == cell.Command { // a box has no environment
		main()
	}
	testscript.Main(m, map[string]func(){"strongroomd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// process is a real strongroomd serve.
type process struct {
	cmd *exec.Cmd
	url string
	pin bundle.Pin
	box int // the process of its box, 0 for none
}

// launch starts the program under a shell's limits ("" for none).
func launch(t *testing.T, data, limits string, flags ...string) *process {
	t.Helper()
	args := append([]string{"-c", limits + ` exec "$0" "$@"`, os.Args[0], "serve", "--data", data,
		"--listen", "127.0.0.1:0", "--admin", "off", "--waits", "none", "--log-format", "json",
		"--account-per-second", "1000", "--account-burst", "1000", "--address-per-second", "1000", "--address-burst", "1000"}, flags...)
	cmd := exec.Command("sh", args...)
	cmd.Env = append(os.Environ(), childEnv+"=1", "GOCOVERDIR="+t.TempDir())
	lines, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	box := 0
	for scan := bufio.NewScanner(lines); scan.Scan(); {
		var line struct {
			Msg, URL, Pin string
			Process       int
		}
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Process != 0 {
			box = line.Process
		}
		if line.Msg == "serving" {
			pin, err := bundle.ParsePin(line.Pin)
			if err != nil {
				t.Fatal(err)
			}
			return &process{cmd, line.URL, pin, box}
		}
		t.Logf("strongroomd: %s", scan.Text())
	}
	t.Fatal("strongroomd did not start")
	return nil
}

func (p *process) client(t *testing.T, data, account string) *client.Vault {
	t.Helper()
	tokens, err := serve.IssueTokens(data, account, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &client.Vault{
		URL: p.url, Pin: p.pin, Account: account, Tokens: client.Tokens(tokens),
		Stretch: wire.Stretch{Time: 1, MemoryKiB: 64, Threads: 1}, Backoff: time.Millisecond,
	}
}

func payload() client.Payload {
	return client.Payload{Key: client.NewKey(), RepositoryID: []byte("0123456789abcdef"), RepositoryURL: "file:/srv/backup"}
}

const right = "four quiet otters"

// Killed with SIGKILL between any two wrong guesses, the vault gives none
// back: after ten the record is gone for the right password too.
func TestKilledBetweenGuesses(t *testing.T) {
	data := t.TempDir()
	p := launch(t, data, "")
	if _, err := p.client(t, data, "anna").Register(t.Context(), right, payload()); err != nil {
		t.Fatal(err)
	}
	for guess := range 9 {
		var wrong *client.ErrWrongPassword
		_, _, err := p.client(t, data, "anna").Recover(t.Context(), fmt.Sprintf("wrong password %d", guess))
		if !errors.As(err, &wrong) || wrong.AttemptsLeft != 9-guess {
			t.Fatalf("guess %d: %v", guess+1, err)
		}
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p = launch(t, data, "")
		status, err := p.client(t, data, "anna").Status(t.Context())
		if err != nil || int(status.Left) != 9-guess {
			t.Fatalf("after kill -9 and guess %d: %+v, %v", guess+1, status, err)
		}
	}
}

// Under a file-size limit the log can not grow (EFBIG, as ENOSPC on a full
// disk): the process ends with its own code, and started with room again it
// has every record that it had acknowledged.
func TestFullDisk(t *testing.T) {
	data := t.TempDir()
	p := launch(t, data, "ulimit -f 132;") // of 512 bytes: a little more than the HSM's files need
	acknowledged := 0
	for ; acknowledged < 300; acknowledged++ {
		v := p.client(t, data, fmt.Sprint("account", acknowledged))
		if _, err := v.Register(t.Context(), right, payload()); err != nil {
			break
		}
	}
	err := p.cmd.Wait()
	if p.cmd.ProcessState.ExitCode() != exitFull {
		t.Fatalf("after %d accounts it ended with %v", acknowledged, err)
	}
	if acknowledged < 2 || acknowledged == 300 {
		t.Fatalf("%d accounts were acknowledged: the disk was full too early or never", acknowledged)
	}
	p = launch(t, data, "")
	for i := range acknowledged {
		status, err := p.client(t, data, fmt.Sprint("account", i)).Status(t.Context())
		if err != nil || status.State != wire.StateLive {
			t.Fatalf("account %d of %d: %+v, %v", i, acknowledged, status, err)
		}
	}
	if _, err := p.client(t, data, "more").Register(t.Context(), right, payload()); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// kill -9 of the vault ends its box too, also one that can not notice: a box
// that is stopped does not see the end of its pipe, the kernel kills it. And
// the folder is free for the next start at once.
func TestKilledVaultLeavesNoBox(t *testing.T) {
	data := t.TempDir()
	for _, stopped := range []bool{false, true} {
		p := launch(t, data, "", "--box", "process")
		if p.box == 0 || p.box == p.cmd.Process.Pid {
			t.Fatalf("its box is process %d", p.box)
		}
		if stopped {
			if err := syscall.Kill(p.box, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		p.cmd.Process.Kill()
		p.cmd.Wait()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.box))
			if err != nil || strings.Contains(string(stat), ") Z ") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("box %d outlives its vault (stopped before: %v)", p.box, stopped)
			}
		}
	}
	p := launch(t, data, "")
	if p.box == 0 {
		t.Fatal("a fleet made with a box of its own is served without")
	}
	p.cmd.Process.Signal(os.Interrupt)
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("it did not end well: %v", err)
	}
}

// Every exit code is told by --help.
func TestHelpNamesEveryExit(t *testing.T) {
	for _, code := range []int{exitFailed, exitUsage, exitInUse, exitFull, exitDamaged, exitPassphrase} {
		if !strings.Contains(description, fmt.Sprintf(" %d ", code)) {
			t.Errorf("exit code %d is not in --help", code)
		}
	}
}
