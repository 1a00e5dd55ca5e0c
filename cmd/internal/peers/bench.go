package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const phoneName = "phone"

// Steps, in the order of the table.
const (
	stepFirst     = "first backup"
	stepUnchanged = "unchanged"
	stepDay       = "a day later"
	stepCheck     = "check"
	stepRestore   = "restore"
	stepWeek      = "all days"
)

var steps = []string{stepFirst, stepUnchanged, stepDay, stepCheck, stepRestore, stepWeek}

// bench is one run.
type bench struct {
	options
	present  []program
	versions []string
	missing  []string
	day      uint64
	costs    map[string]map[string][]cost // by step and program
}

func (b *bench) phone() string { return filepath.Join(b.dir, phoneName) }

func (b *bench) all(ctx context.Context) error {
	b.costs = map[string]map[string][]cost{}
	if err := b.look(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(b.phone()); err != nil {
		fmt.Fprintf(os.Stderr, "making the store in %s\n", b.phone())
		if err := b.self(ctx, "-make-store"); err != nil {
			return err
		}
	}
	b.day = b.firstDay - 1
	for round := range b.rounds {
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// look finds out which programs are there.
func (b *bench) look(ctx context.Context) error {
	path, err := filepath.Abs(b.strongroom)
	if err != nil {
		return err
	}
	for _, g := range programs(path) {
		if b.only != "" && !strings.Contains(","+b.only+",", ","+g.name+",") {
			continue
		}
		version, ok := g.found(ctx)
		if !ok {
			b.missing = append(b.missing, g.name)
			continue
		}
		b.present, b.versions = append(b.present, g), append(b.versions, g.name+": "+version)
	}
	if len(b.present) == 0 {
		return fmt.Errorf("none of the programs is there")
	}
	return nil
}

// self makes the store or a day in a process of its own: see measure.
func (b *bench) self(ctx context.Context, what string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = measure(ctx, own, b.dir, nil, append([]string{what}, b.arguments()...))
	return err
}

// arguments are those of this process that a store depends on.
func (b *bench) arguments() []string {
	number := func(name string, n int64) string { return "-" + name + "=" + strconv.FormatInt(n, 10) }
	s, d := b.shape, b.options.day
	return []string{"-dir=" + b.dir, "-seed=" + strconv.FormatUint(b.seed, 10),
		number("database", s.DatabaseBytes/1e6), number("media", int64(s.Media)), number("media-size", s.MediaBytes/1e6),
		number("messages", int64(d.Messages)), number("edits", int64(d.Edits)), number("deletions", int64(d.Deletions)), number("media-day", int64(d.Media))}
}

// round does every step with every program. The order of programs turns, so
// that none always runs behind the same neighbour. The last round goes on for
// the rest of the days and proves what was restored.
func (b *bench) round(ctx context.Context, round int) error {
	turn := round % len(b.present)
	order := append(append([]program(nil), b.present[turn:]...), b.present[:turn]...)
	places := make([]place, len(order))
	for i, g := range order {
		var err error
		if places[i], err = b.prepare(ctx, g, round); err != nil {
			return err
		}
		defer os.RemoveAll(places[i].dir)
	}
	every := func(step string, args func(program, place) []string) error {
		for i, g := range order {
			if err := b.step(ctx, step, g, places[i], args(g, places[i])); err != nil {
				return err
			}
		}
		return nil
	}
	backup := func(g program, p place) []string { return g.backup(p) }
	for _, step := range []string{stepFirst, stepUnchanged} {
		if err := every(step, backup); err != nil {
			return err
		}
	}
	days := 1
	if round == b.rounds-1 {
		days = max(1, b.days)
	}
	for range days {
		b.day++
		if err := b.self(ctx, fmt.Sprint("-make-day=", b.day)); err != nil {
			return err
		}
		if err := every(stepDay, backup); err != nil {
			return err
		}
	}
	if days > 1 {
		b.sumDays(days)
	}
	if err := every(stepCheck, func(g program, p place) []string { return g.check(p) }); err != nil {
		return err
	}
	if err := every(stepRestore, func(g program, p place) []string { return g.restore(p) }); err != nil {
		return err
	}
	for i, g := range order {
		if err := sameTree(b.phone(), g.phoneIn(places[i])); err != nil {
			return fmt.Errorf("%s restored something else: %w", g.name, err)
		}
	}
	return nil
}

// sumDays adds the last days up.
func (b *bench) sumDays(days int) {
	for _, g := range b.present {
		all := b.costs[stepDay][g.name]
		var sum cost
		for _, c := range all[len(all)-days:] {
			sum.wall, sum.cpu, sum.sent = sum.wall+c.wall, sum.cpu+c.cpu, sum.sent+c.sent
			sum.memory = max(sum.memory, c.memory)
		}
		b.note(stepWeek, g, sum)
	}
}

func (b *bench) note(step string, g program, c cost) {
	if b.costs[step] == nil {
		b.costs[step] = map[string][]cost{}
	}
	b.costs[step][g.name] = append(b.costs[step][g.name], c)
}

// prepare makes an empty repository.
func (b *bench) prepare(ctx context.Context, g program, round int) (place, error) {
	dir := filepath.Join(b.dir, fmt.Sprint(g.name, round))
	p := place{dir: dir, cloud: filepath.Join(dir, "cloud"), restore: filepath.Join(dir, "restored"), phone: b.phone()}
	for _, d := range []string{p.cloud, p.restore} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return p, err
		}
	}
	for _, args := range g.prepare(p) {
		if _, err := measure(ctx, g.path, p.dir, g.env(p), args); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (b *bench) step(ctx context.Context, step string, g program, p place, args []string) error {
	before, err := bytesIn(p.cloud)
	if err != nil {
		return err
	}
	c, err := measure(ctx, g.path, p.restore, g.env(p), args)
	if err != nil {
		return err
	}
	after, err := bytesIn(p.cloud)
	if err != nil {
		return err
	}
	c.sent = max(0, after-before)
	b.note(step, g, c)
	fmt.Fprintf(os.Stderr, "%-12s %-12s %7.2f s  %7.2f s CPU  %5d MB memory  %8.1f MB sent\n",
		step, g.name, c.wall.Seconds(), c.cpu.Seconds(), c.memory/1e6, float64(c.sent)/1e6)
	return nil
}

func bytesIn(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
