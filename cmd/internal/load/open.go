//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/cmd/internal/serve"
	"strongroom/test/cluster/island"
	"strongroom/test/cluster/link"
)

const (
	openAccountsEach = 4                      // accounts for each login begun in a second: none is asked for twice at a time
	openWarm         = 3 * time.Second        // before what is measured
	openStartedMin   = .95                    // of the asked load, or the run did too little
	openLatencyMax   = 250 * time.Millisecond // p99, from the time at which a login was due
	openGrowthMax    = .05                    // of the memory of all processes
	openGrowthFrom   = .1                     // of the time: until then caches fill
	openGrowthFor    = 2 * time.Minute        // a shorter run says nothing of it
	openSampleEvery  = 500 * time.Millisecond // of memory
)

// openRun is logins that begin when they are due, whether the ones before
// them have ended or not: so a server that stands still is seen by all that
// were due meanwhile (no coordinated omission).
type openRun struct {
	options
	latencies []time.Duration // from due to the key, sorted
	late      time.Duration   // the longest time that a login had to wait for a free connection
	failures  []error
	cpu       map[string]time.Duration // of processes
	memory    []float64                // MiB of all processes, sampled
	load      string
	elections int // beyond the first: nothing failed, so there is to be none
}

// measureOpen runs an island and its relay in processes of their own.
func measureOpen(ctx context.Context, o options) (*openRun, error) {
	program, err := filepath.Abs(o.strongroomd)
	if err != nil {
		return nil, err
	}
	network := link.Bare(o.boxes, island.PeerPort)
	i, err := island.Found(island.Config{
		Program: program, Dir: o.dir, Boxes: o.boxes, Plain: true, Network: network,
		Flags: []string{"--trusted-proxy", "127.0.0.0/8", "--in-flight", "1024"}, Rules: map[string]any{"waits": "none"},
	})
	if err != nil {
		return nil, err
	}
	defer i.Stop()
	if err := i.Start(); err != nil {
		return nil, err
	}
	relay, err := startRelay(ctx, program, i)
	if err != nil {
		return nil, err
	}
	defer relay.stop()
	r := &openRun{options: o, cpu: map[string]time.Duration{}, load: loadAverage()}
	accounts, err := openAccounts(ctx, relay, o)
	if err != nil {
		return nil, err
	}
	if err := r.drive(ctx, relay, accounts, openWarm); err != nil {
		return nil, err
	}
	r.latencies, r.failures, r.late = nil, nil, 0
	processes := map[string]int{"relay": relay.process.Process.Pid}
	for _, b := range i.Box {
		processes[fmt.Sprint("box ", b.Number)] = b.PID()
	}
	first, err := term(i)
	if err != nil {
		return nil, err
	}
	if err := r.measure(ctx, relay, accounts, processes); err != nil {
		return nil, err
	}
	last, err := term(i)
	r.elections = int(last - first)
	return r, err
}

// term is the newest that any box knows: each election begins another.
func term(i *island.Island) (newest uint64, err error) {
	for _, b := range i.Box {
		r, err := b.Report()
		if err != nil {
			return 0, err
		}
		newest = max(newest, r.Term)
	}
	return newest, nil
}

func startRelay(ctx context.Context, program string, i *island.Island) (*server, error) {
	args := []string{"relay", "--fleet", filepath.Join(i.Box[0].Data, "vault", "fleet.cbor"), "--listen", "127.0.0.1:0", "--admin", "off", "--log-format", "json",
		"--address-per-second", limitNone, "--address-burst", limitNone, "--account-per-second", limitNone, "--account-burst", limitNone, "--in-flight", "1024"}
	for _, b := range i.Box {
		args = append(args, "--box-url", b.URL())
	}
	relay, err := awaitServer(exec.CommandContext(ctx, program, args...), i.Box[0].Data)
	if err != nil {
		return nil, err
	}
	relay.issue = func(account string) (serve.Tokens, error) {
		relay, vault, err := i.Tokens(account)
		return serve.Tokens{Account: account, Relay: relay, Vault: vault}, err
	}
	return relay, nil
}

// openAccounts registers them, some at a time.
func openAccounts(ctx context.Context, relay *server, o options) ([]*account, error) {
	accounts := make([]*account, max(openAccountsEach*o.rate, o.callers))
	var all sync.WaitGroup
	errs := make([]error, o.callers)
	for c := range o.callers {
		all.Go(func() {
			for n := c; n < len(accounts) && errs[c] == nil; n += o.callers {
				accounts[n], errs[c] = register(ctx, relay, fmt.Sprint("account", n))
			}
		})
	}
	all.Wait()
	return accounts, errors.Join(errs...)
}

// measure drives the load and reads what the processes take.
func (r *openRun) measure(ctx context.Context, relay *server, accounts []*account, processes map[string]int) error {
	before := map[string]time.Duration{}
	for name, pid := range processes {
		var err error
		if before[name], err = cpuOf(pid); err != nil {
			return err
		}
	}
	stop := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() { r.sample(processes, stop) })
	err := r.drive(ctx, relay, accounts, r.period)
	close(stop)
	sampler.Wait()
	for name, pid := range processes {
		after, cpuErr := cpuOf(pid)
		err = errors.Join(err, cpuErr)
		r.cpu[name] = after - before[name]
	}
	slices.Sort(r.latencies)
	return err
}

// due is a login and when it is to begin.
type due struct {
	at      time.Time
	account *account
}

// drive begins logins at the asked rate for a time.
func (r *openRun) drive(ctx context.Context, relay *server, accounts []*account, period time.Duration) error {
	n := int(period.Seconds() * float64(r.rate))
	queue := make(chan due, n)
	var all sync.WaitGroup
	var mu sync.Mutex
	for range r.callers {
		line, err := openLine(relay)
		if err != nil {
			return err
		}
		all.Go(func() {
			defer line.Close()
			for d := range queue {
				late := time.Since(d.at)
				err := d.account.loginOver(relay, line)
				took := time.Since(d.at)
				if err != nil {
					d.account.resync(ctx, relay)
				}
				mu.Lock()
				r.late = max(r.late, late)
				if err != nil {
					r.failures = append(r.failures, fmt.Errorf("%s: %w", d.account.name, err))
				} else {
					r.latencies = append(r.latencies, took)
				}
				mu.Unlock()
			}
		})
	}
	begun := time.Now()
	for k := 0; k < n && ctx.Err() == nil; k++ {
		at := begun.Add(time.Duration(k) * time.Second / time.Duration(r.rate))
		time.Sleep(time.Until(at))
		queue <- due{at, accounts[k%len(accounts)]}
	}
	close(queue)
	all.Wait()
	return ctx.Err()
}

// openLine is a connection to the relay that many accounts use in turn.
func openLine(relay *server) (net.Conn, error) {
	a := account{}
	err := a.connect(relay)
	return a.line, err
}

// sample notes how much memory the processes have.
func (r *openRun) sample(processes map[string]int, stop chan struct{}) {
	tick := time.NewTicker(openSampleEvery)
	defer tick.Stop()
	for {
		total := 0.0
		for _, pid := range processes {
			total += residentMiB(pid)
		}
		r.memory = append(r.memory, total)
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// residentMiB is proc(5)'s VmRSS, 0 where there is none.
func residentMiB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kiB float64
	_, _ = fmt.Sscan(rest, &kiB)
	return kiB / 1024
}
