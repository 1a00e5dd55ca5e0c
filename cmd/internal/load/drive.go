//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/hsm/soft"
)

const (
	warmLogins = 5                      // of each client, before the clock starts
	cpuMin     = 200 * time.Millisecond // of a round: it is counted in ticks of 10 ms
)

// bench is everything that is measured.
type bench struct {
	options
	results []result
	calls   []call
	floor   floor
	parts   []part
	whole   round // under the profiler
}

// round is one round of all clients.
type round struct {
	logins    int
	wall, cpu time.Duration
	latencies []time.Duration
	load      string // the machine's load average when it began
}

// result is a provider's rounds on so many cores.
type result struct {
	provider string
	procs    int
	rounds   []round
}

// all measures one provider, and then its calls.
func (b *bench) all(ctx context.Context, name string) error {
	if err := b.provider(ctx, name); err != nil {
		return err
	}
	return b.measureCalls(ctx, name)
}

// provider measures one provider: logins on one core and on all, and for
// the software HSM their parts.
func (b *bench) provider(ctx context.Context, name string) error {
	dir := filepath.Join(b.dir, name)
	p, err := newProvider(name, dir, b.options)
	if err != nil {
		return err
	}
	defer p.close()
	data := filepath.Join(dir, "vault")
	accounts, err := b.register(ctx, data, p)
	if err != nil {
		return err
	}
	for _, procs := range cores() {
		s, err := startServer(ctx, p.program, data, procs, p)
		if err != nil {
			return err
		}
		rounds, err := b.roundsAt(s, accounts, p.logins(b.logins))
		s.stop()
		if err != nil {
			return err
		}
		b.results = append(b.results, result{name, procs, rounds})
	}
	if name != soft.Kind {
		return nil
	}
	return b.split(ctx, dir, data, accounts)
}

// split finds out what a login's parts cost.
func (b *bench) split(ctx context.Context, dir, data string, accounts []*account) error {
	path := cmp.Or(b.profile, filepath.Join(dir, "cpu.pprof"))
	r, err := b.profiled(ctx, data, path, accounts)
	if err != nil {
		return err
	}
	b.whole = r
	b.parts, err = parseParts(path, r.logins)
	return err
}

// cores: one, and all that the machine has.
func cores() []int {
	all := procsMax()
	if all == 1 {
		return []int{1}
	}
	return []int{1, all}
}

// register makes the fleet and every client's record.
func (b *bench) register(ctx context.Context, data string, p provider) (accounts []*account, err error) {
	s, err := startServer(ctx, p.program, data, procsMax(), p)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	for i := range b.clients {
		a, err := register(ctx, s, fmt.Sprint("account", i))
		if err != nil {
			return nil, err
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// roundsAt has all clients log in to a server that runs, as often as asked.
func (b *bench) roundsAt(s *server, accounts []*account, logins int) (rounds []round, err error) {
	if err := connectAll(s, accounts); err != nil {
		return nil, err
	}
	if _, err := drive(s, accounts, warmLogins); err != nil {
		return nil, err
	}
	for range b.rounds {
		r, err := drive(s, accounts, logins)
		if err != nil {
			return nil, err
		}
		if r.cpu < cpuMin {
			return nil, fmt.Errorf("%d logins took the server %v of CPU: too little to tell, raise -logins", r.logins, r.cpu)
		}
		rounds = append(rounds, r)
		fmt.Fprintf(os.Stderr, "%6d logins  %6.2f s  %6.0f us CPU of the server each  load %s\n",
			r.logins, r.wall.Seconds(), r.cpuEach(), r.load)
	}
	return rounds, nil
}

func connectAll(s *server, accounts []*account) error {
	return each(accounts, func(_ int, a *account) error { return a.connect(s) })
}

// drive has every client log in n times, one after the other. One failed
// login fails the round: what is counted was carried out to its end.
func drive(s *server, accounts []*account, n int) (r round, err error) {
	if err := each(accounts, func(_ int, a *account) error { return a.prepare(n) }); err != nil {
		return r, err
	}
	r = round{logins: n * len(accounts), load: loadAverage()}
	took := make([][]time.Duration, len(accounts))
	before, err := s.cpu()
	if err != nil {
		return r, err
	}
	start := time.Now()
	err = each(accounts, func(i int, a *account) error {
		own := make([]time.Duration, 0, n)
		for range n {
			began := time.Now()
			if err := a.login(); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			own = append(own, time.Since(began))
		}
		took[i] = own
		return nil
	})
	if err != nil {
		return r, err
	}
	r.wall = time.Since(start)
	after, err := s.cpu()
	if err != nil {
		return r, err
	}
	r.cpu, r.latencies = after-before, slices.Concat(took...)
	slices.Sort(r.latencies)
	if len(r.latencies) != r.logins {
		return r, fmt.Errorf("%d logins instead of %d", len(r.latencies), r.logins)
	}
	return r, nil
}

// each calls f for all accounts at a time.
func each(accounts []*account, f func(int, *account) error) error {
	errs := make([]error, len(accounts))
	var all sync.WaitGroup
	for i, a := range accounts {
		all.Go(func() { errs[i] = f(i, a) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r round) cpuEach() float64       { return float64(r.cpu.Microseconds()) / float64(r.logins) }
func (r round) perSecond() float64     { return float64(r.logins) / r.wall.Seconds() }
func (r round) perCoreSecond() float64 { return float64(r.logins) / r.cpu.Seconds() }
func (r round) latency(of float64) time.Duration {
	return r.latencies[min(len(r.latencies)-1, int(of*float64(len(r.latencies))))]
}

// loadAverage is the last minute's, where the system tells it.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
