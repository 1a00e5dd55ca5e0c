//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// at is a quantile of the latencies.
func (r *openRun) at(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(int(q*float64(len(r.latencies))), len(r.latencies)-1)]
}

// growth of the memory between the run's first part and its last: medians, so
// that one garbage collection does not decide.
func (r *openRun) growth() (from, to, share float64) {
	n := len(r.memory)
	part := max(1, int(float64(n)*openGrowthFrom))
	if n < 3*part {
		return 0, 0, 0
	}
	from, to = middle(r.memory[part:2*part]), middle(r.memory[n-part:])
	return from, to, to/from - 1
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func (r *openRun) asked() int { return int(r.period.Seconds() * float64(r.rate)) }

func (r *openRun) print(w io.Writer) {
	fmt.Fprintf(w, "Whole logins in an open loop: %d/s for %v, through one relay to an island of %d boxes, all on this machine's %d processors with their\n", r.rate, r.period, r.boxes, procsMax())
	fmt.Fprintf(w, "clients. Latency from the time at which a login was due to the opened key, both trips. Load average at the beginning %s.\n\n", r.load)
	fmt.Fprintf(w, "logins   %d of %d, %d failed; the latest began %.1f ms after it was due\n", len(r.latencies), r.asked(), len(r.failures), r.late.Seconds()*1e3)
	for _, q := range []float64{.5, .9, .99, .999, 1} {
		fmt.Fprintf(w, "p%-6g  %.1f ms\n", q*100, r.at(q).Seconds()*1e3)
	}
	all := time.Duration(0)
	for _, name := range slices.Sorted(maps.Keys(r.cpu)) {
		all += r.cpu[name]
		fmt.Fprintf(w, "%-7s  %.0f us of CPU a login\n", name, float64(r.cpu[name].Microseconds())/float64(max(1, len(r.latencies))))
	}
	fmt.Fprintf(w, "all      %.0f us of CPU a login\n", float64(all.Microseconds())/float64(max(1, len(r.latencies))))
	if from, to, share := r.growth(); from > 0 {
		fmt.Fprintf(w, "memory   %.0f MiB, then %.0f MiB: %+.1f %%\n", from, to, share*100)
	}
	fmt.Fprintf(w, "lead     %d elections during the load\n", r.elections)
	for _, err := range r.failures[:min(3, len(r.failures))] {
		fmt.Fprintf(w, "failed   %v\n", err)
	}
}

// judge says what of the promise (P6) was not kept.
func (r *openRun) judge() error {
	var errs []error
	if n := len(r.latencies); float64(n) < openStartedMin*float64(r.asked()) {
		errs = append(errs, fmt.Errorf("%d of %d logins: this run did too little", n, r.asked()))
	}
	if p99 := r.at(.99); p99 > openLatencyMax {
		errs = append(errs, fmt.Errorf("p99 %v, at most %v", p99, openLatencyMax))
	}
	if _, _, share := r.growth(); r.period >= openGrowthFor && share > openGrowthMax {
		errs = append(errs, fmt.Errorf("memory grew by %.1f %%, at most %.0f", share*100, openGrowthMax*100))
	}
	if r.elections > 0 {
		errs = append(errs, fmt.Errorf("%d elections, and no box had failed", r.elections))
	}
	return errors.Join(errs...)
}
