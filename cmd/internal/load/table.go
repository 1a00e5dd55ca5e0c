//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"strongroom/hsm/soft"
)

// What a login should take, and what was measured elsewhere: on a machine
// where one multiplication of P-256 took planMultiplication.
const (
	goalCPU            = 560  // us, everything of a whole login, software HSM
	goalPerCore        = 1800 // logins a second and core, software HSM
	goalToken          = 600  // logins a second, SoftHSM2
	planOPAQUE         = 282  // us, OPAQUE's arithmetic
	planOpening        = 120  // us, one HPKE opening
	planToken          = 50   // us, one token
	peerJuicebox       = 558  // us, a recovery in Juicebox's software realm: in memory, no seal, no token, no durable commit
	planMultiplication = 54   // us
)

func (b *bench) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	b.printLogins(w)
	if len(b.parts) > 0 {
		b.printParts(w)
	}
	b.printPeers(w)
	b.printCalls(w)
	return w.Flush()
}

func (b *bench) printLogins(w io.Writer) {
	fmt.Fprintf(w, "Whole logins over loopback HTTP: both trips, channel, tokens, OPAQUE P-256, two durable commits. %d clients on the same\n", b.clients)
	fmt.Fprintf(w, "%d processors; their first trips were sealed before. CPU is the server process's alone; medians of %d rounds. Goals: at most %d us,\n", procsMax(), b.rounds, goalCPU)
	fmt.Fprintf(w, "%d logins/s/core with the software HSM; %d logins/s with SoftHSM2.\n\n", goalPerCore, goalToken)
	fmt.Fprintln(w, "HSM\tcores\tCPU us a login\tlogins/s/core\tlogins/s\tp50 ms\tp99 ms\tload average\t")
	for _, r := range b.results {
		m := medianOf(r.rounds)
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.1f\t%s\t\n", r.provider, r.procs, m.cpuEach(), m.perCoreSecond(), m.perSecond(),
			m.latency(.5).Seconds()*1e3, m.latency(.99).Seconds()*1e3, m.load)
	}
}

func (b *bench) printParts(w io.Writer) {
	fmt.Fprintf(w, "\nWhere a login's CPU goes (software HSM, all cores, Go's profiler on %d logins, load average %s):\n\n", b.whole.logins, b.whole.load)
	fmt.Fprintln(w, "part\tus\tfloor here\t")
	floors := map[string]float64{"token, the box's": b.floor.signature, "opening: HPKE, decoding": b.floor.opening, "OPAQUE KE2": b.floor.opaque}
	sampled, box := 0.0, 0.0
	for _, p := range b.parts {
		floor := ""
		if f := floors[p.name]; f > 0 {
			floor = fmt.Sprintf("%.0f", f)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%s\t\n", p.name, p.us, floor)
		sampled += p.us
		if p.box {
			box += p.us
		}
	}
	fmt.Fprintf(w, "what the profiler did not see\t%.0f\t\t\n", b.whole.cpuEach()-sampled)
	fmt.Fprintf(w, "the whole server\t%.0f\t\t\n", b.whole.cpuEach())
	fmt.Fprintf(w, "the box in it\t%.0f\t%.0f\t\n", box, b.floor.opaque+b.floor.opening+b.floor.signature)
}

func (b *bench) printPeers(w io.Writer) {
	f := b.floor
	here := f.multiplication / planMultiplication
	fmt.Fprintf(w, "\nBeside it, CPU us on one thread. The plan's figures come from a machine where a multiplication of P-256 took %d us; here it takes\n", planMultiplication)
	fmt.Fprintf(w, "%.1f us, and %.1f us while every core multiplies.\n\n", f.multiplication, f.busy)
	fmt.Fprintln(w, "what\tmeasured here\tthe plan's\tthe plan's, at this machine's speed\t")
	row := func(what string, measured float64, plan float64) {
		said := ""
		if measured > 0 {
			said = fmt.Sprintf("%.0f", measured)
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t\n", what, said, plan, plan*here)
	}
	row("floor: OPAQUE's arithmetic", f.opaque, planOPAQUE)
	row("floor: one HPKE opening", f.opening, planOpening)
	row("floor: one token's signature", f.signature, planToken)
	row("peer: Juicebox's software realm, in memory, without seal, token and commit", 0, peerJuicebox)
	own := 0.0
	for _, r := range b.results {
		if r.provider == soft.Kind {
			own = medianOf(r.rounds).cpuEach()
		}
	}
	row("Strongroom, the whole server", own, goalCPU)
}

// printCalls has a column for each provider.
func (b *bench) printCalls(w io.Writer) {
	var providers, names []string
	cells := map[string]string{}
	logins := map[string]string{}
	for _, c := range b.calls {
		if !slices.Contains(providers, c.provider) {
			providers = append(providers, c.provider)
		}
		if !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
		logins[c.name] = c.logins
		cells[c.name+c.provider] = fmt.Sprintf("%.0f (%.0f)", c.wall, c.cpu)
	}
	fmt.Fprintf(w, "\nWhat each call of the HSM takes, one after the other: us of wall time (us of the server's CPU; a TPM's own is not in it).\n\n")
	fmt.Fprintf(w, "call\ta login\t%s\t\n", strings.Join(providers, "\t"))
	for _, name := range names {
		fmt.Fprintf(w, "%s\t%s", name, logins[name])
		for _, provider := range providers {
			fmt.Fprintf(w, "\t%s", cells[name+provider])
		}
		fmt.Fprintln(w, "\t")
	}
}

// medianOf is the round whose CPU is the median.
func medianOf(rounds []round) round {
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b round) int { return int(a.cpu - b.cpu) })
	return sorted[len(sorted)/2]
}
