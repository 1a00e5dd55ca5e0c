package storm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
	"strongroom/hsm/hsmtest"
	"strongroom/hsm/soft"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// The vault's process is this test's own binary, told by these variables.
const (
	dataVariable    = "STRONGROOM_STORM_DATA"
	journalVariable = "STRONGROOM_STORM_JOURNAL"
	boxVariable     = "STRONGROOM_STORM_BOX" // where the box runs
)

const (
	account = "anna@example"
	right   = "a right good password"

	// Time enough for a login's second trip under the race detector; the
	// destruction after the last attempt waits as long.
	ticketLifetime = 20 * time.Second
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == cell.Command {
		if runBox(os.Args[2]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if data := os.Getenv(dataVariable); data != "" {
		if err := runVault(data, os.Getenv(journalVariable), os.Getenv(boxVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// hello is what a vault's process prints when it serves.
type hello struct {
	URL, Pin     string
	Relay, Vault string // the account's tokens
}

// runVault serves until it is killed. Every evaluation is written to the
// journal before it is made.
func runVault(data, journal, box string) error {
	free := relay.Rate{PerSecond: 1e6, Burst: 1e6}
	c := serve.Config{
		Data: data, Listen: "127.0.0.1:0", Admin: serve.AdminOff, TicketLifetime: ticketLifetime,
		AddressRate: free, AccountRate: free, Stretch: soft.Cheap, Box: box, Waits: serve.WaitsNone,
	}
	if box == serve.BoxProcess {
		c.BoxCommand = []string{os.Args[0], cell.Command, journal}
	} else {
		file, err := openJournal(journal)
		if err != nil {
			return err
		}
		c.WrapHAL = func(h hal.HAL) hal.HAL { return hsmtest.NewJournal(h, file) }
	}
	s, err := serve.Start(context.Background(), c)
	if err != nil {
		return err
	}
	t, err := s.IssueTokens(account, time.Hour)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(hello{s.URL, s.Pin.String(), t.Relay, t.Vault}); err != nil {
		return err
	}
	<-s.Done()
	return s.Err()
}

func openJournal(journal string) (*os.File, error) {
	return os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// runBox is the box's own process. It opens the journal before the wall.
func runBox(journal string) error {
	return cell.Run(func(h hal.HAL) hal.HAL {
		file, err := openJournal(journal)
		if err != nil {
			panic(err)
		}
		return hsmtest.NewJournal(h, file)
	})
}

// process is a vault under test.
type process struct {
	t             *testing.T
	data, journal string
	box           string // where its box runs
	command       *exec.Cmd
	vault         *client.Vault
}

func newProcess(t *testing.T, box string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, box: box, data: filepath.Join(dir, "vault"), journal: filepath.Join(dir, "journal")}
	t.Cleanup(p.kill)
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	self, err := os.Executable()
	must(p.t, err)
	p.command = exec.Command(self)
	p.command.Env = append(os.Environ(), dataVariable+"="+p.data, journalVariable+"="+p.journal, boxVariable+"="+p.box)
	var stderr bytes.Buffer
	p.command.Stderr = &stderr
	out, err := p.command.StdoutPipe()
	must(p.t, err)
	must(p.t, p.command.Start())
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("the vault did not start: %v: %s", err, stderr.String())
	}
	go io.Copy(io.Discard, out)
	var h hello
	must(p.t, json.Unmarshal(line, &h))
	pin, err := bundle.ParsePin(h.Pin)
	must(p.t, err)
	p.vault = &client.Vault{
		URL: h.URL, Pin: pin, Account: account, Stretch: cheap, Timeout: time.Minute, Backoff: time.Millisecond,
		Tokens: client.Tokens{Account: account, Relay: h.Relay, Vault: h.Vault},
	}
}

// cheap stretching: the storms are about the vault, not about Argon2.
var cheap = wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}

// kill is kill -9.
func (p *process) kill() {
	if p.command != nil && p.command.Process != nil {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
		p.command = nil
	}
}

// evaluations reads the oracle: distinct lines of the journal.
func (p *process) evaluations() int {
	p.t.Helper()
	b, err := os.ReadFile(p.journal)
	must(p.t, err)
	distinct := map[string]bool{}
	for line := range bytes.Lines(b) {
		distinct[string(line)] = true
	}
	return len(distinct)
}

func (p *process) register() {
	p.t.Helper()
	_, err := p.vault.Register(p.t.Context(), right, client.Payload{Key: client.NewKey(), RepositoryURL: "file:/nowhere"})
	must(p.t, err)
}

// guess tries a password and tells whether it opened.
func (p *process) guess(password string) error {
	_, _, err := p.vault.Recover(p.t.Context(), password)
	return err
}

func isWrong(err error) bool {
	var wrong *client.ErrWrongPassword
	return errors.As(err, &wrong)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
