package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// print writes the table: medians of time and bytes, the largest peak of
// memory, and each time against the fastest peer's.
func (b *bench) print(out io.Writer) error {
	load, _ := os.ReadFile("/proc/loadavg") // where there is one
	fmt.Fprintf(out, "%s\n", strings.Join(b.versions, "\n"))
	if len(b.missing) > 0 {
		fmt.Fprintf(out, "not found on PATH: %s\n", strings.Join(b.missing, ", "))
	}
	fmt.Fprintf(out, "%d processors, load %srounds %d, seed %d, database %d MB, media %d in %d MB\n\n", runtime.NumCPU(),
		cmp.Or(string(load), "unknown\n"), b.rounds, b.seed, b.shape.DatabaseBytes/1e6, b.shape.Media, b.shape.MediaBytes/1e6)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "step\tprogram\tseconds\tCPU seconds\tmemory MB\tsent MB\tof the fastest peer\t")
	for _, step := range steps {
		b.rows(w, step)
	}
	return w.Flush()
}

func (b *bench) rows(w io.Writer, step string) {
	fastest := time.Duration(0)
	for _, g := range b.present {
		if m := medianOf(b.costs[step][g.name]); g.name != ownName && (fastest == 0 || m.wall < fastest) {
			fastest = m.wall
		}
	}
	for _, g := range b.present {
		if len(b.costs[step][g.name]) == 0 {
			continue
		}
		m := medianOf(b.costs[step][g.name])
		ratio := ""
		if fastest > 0 {
			ratio = fmt.Sprintf("%.2f", m.wall.Seconds()/fastest.Seconds())
		}
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%d\t%.1f\t%s\t\n", step, g.name, m.wall.Seconds(), m.cpu.Seconds(), m.memory/1e6, float64(m.sent)/1e6, ratio)
	}
}

// medianOf is the median of each, and the most memory.
func medianOf(costs []cost) (m cost) {
	if len(costs) == 0 {
		return m
	}
	median := func(of func(cost) int64) int64 {
		all := make([]int64, len(costs))
		for i, c := range costs {
			all[i] = of(c)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	m.wall = time.Duration(median(func(c cost) int64 { return int64(c.wall) }))
	m.cpu = time.Duration(median(func(c cost) int64 { return int64(c.cpu) }))
	m.sent = median(func(c cost) int64 { return c.sent })
	for _, c := range costs {
		m.memory = max(m.memory, c.memory)
	}
	return m
}
