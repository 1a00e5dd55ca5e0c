//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

const (
	startWithin = time.Minute // a token makes its keys in this time
	stopWithin  = 10 * time.Second

	ticksPerSecond = 100 // proc(5): USER_HZ

	limitNone = "1000000" // no limit of the relay may be met
)

// server is a vault in a process of its own.
type server struct {
	process *exec.Cmd
	data    string
	url     string
	pin     bundle.Pin
	fleet   *bundle.Fleet
	ended   chan struct{}
	issue   func(account string) (serve.Tokens, error) // nil: the vault's built-in issuer does
}

// startServer starts `strongroomd serve` on as many cores as procs says.
func startServer(ctx context.Context, program, data string, procs int, p provider) (*server, error) {
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--admin", "off", "--log-format", "json",
		"--address-per-second", limitNone, "--address-burst", limitNone, "--account-per-second", limitNone, "--account-burst", limitNone}, p.flags...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs)), p.env...)
	return awaitServer(cmd, data)
}

// awaitServer starts a program that says on standard error, in JSON, that it
// serves and where.
func awaitServer(cmd *exec.Cmd, data string) (*server, error) {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{process: cmd, data: data, ended: make(chan struct{})}
	said := make(chan string, 1) // where it serves
	lastWords := ""
	go func() {
		defer close(s.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var line struct{ Msg, URL string }
			lastWords = lines.Text()
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				said <- line.URL
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case s.url = <-said:
	case <-s.ended:
		return nil, fmt.Errorf("%s ended before it served: %s", filepath.Base(cmd.Path), lastWords)
	case <-time.After(startWithin):
		s.stop()
		return nil, fmt.Errorf("%s did not begin to serve in %v", filepath.Base(cmd.Path), startWithin)
	}
	document, fleet, err := serve.ReadFleet(data)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.pin, s.fleet = bundle.PinOf(document), fleet
	return s, nil
}

// stop ends it in good order, so that its profile is written.
func (s *server) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopWithin):
		_ = s.process.Process.Kill()
		<-s.ended
	}
}

// cpu is what the process used until now, user and system, all its threads.
func (s *server) cpu() (time.Duration, error) { return cpuOf(s.process.Process.Pid) }

func cpuOf(pid int) (used time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", pid)
	}
	for _, f := range fields[11:13] { // utime, stime
		var ticks int64
		if _, err := fmt.Sscan(f, &ticks); err != nil {
			return 0, err
		}
		used += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	return used, nil
}

// tokens signs a pair for an account, by the vault's built-in issuer.
func (s *server) tokens(account string) (serve.Tokens, error) {
	if s.issue != nil {
		return s.issue(account)
	}
	return serve.IssueTokens(s.data, account, time.Hour, time.Now())
}

// stretch is cheap: what a client spends on a guess is not measured here.
var stretch = wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}
