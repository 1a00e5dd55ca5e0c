package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Steps of a folder of very many small files.
var scaleSteps = []string{stepFirst, stepUnchanged, stepDay, stepList, stepDiff, stepForget, stepPrune, stepCheck, stepRestore}

const (
	stepList   = "ls"
	stepDiff   = "diff"
	stepForget = "forget"
	stepPrune  = "prune"
)

// perFolder and smallFileBytes shape the folder: a picture's thumbnail or a
// mail each.
const (
	perFolder      = 1000
	smallFileBytes = 200
	changedOf      = 10 // one in so many is another a day later
)

// scaleCost is what one process took, and how long it said nothing.
type scaleCost struct {
	cost
	silence time.Duration
}

// scale measures how memory, and the time that a person waits without a word,
// grow with the number of files.
func (b *bench) scale(ctx context.Context, w io.Writer) error {
	if err := b.look(ctx); err != nil {
		return err
	}
	folder := filepath.Join(b.dir, "small")
	began := time.Now()
	if err := makeSmall(ctx, folder, b.small); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "made %d files of %d bytes in %s (%v)\n", b.small, smallFileBytes, folder, time.Since(began).Round(time.Second))
	fmt.Fprintf(w, "%d files of %d bytes, %d to a folder. Peak resident memory; longest silence: between two lines of progress or output.\n\n", b.small, smallFileBytes, perFolder)
	fmt.Fprintf(w, "| program | step | time | peak memory | longest silence |\n|---|---|---|---|---|\n")
	for _, g := range b.present {
		p := place{phone: folder, dir: filepath.Join(b.dir, g.name), cloud: filepath.Join(b.dir, g.name, "cloud"), restore: filepath.Join(b.dir, g.name, "restored")}
		if err := b.scaleOf(ctx, w, g, p); err != nil {
			return err
		}
		if err := os.RemoveAll(p.dir); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scaleOf(ctx context.Context, w io.Writer, g program, p place) error {
	for _, dir := range []string{p.dir, p.cloud} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, args := range g.prepare(p) {
		if _, err := measure(ctx, g.path, p.dir, g.env(p), args); err != nil {
			return err
		}
	}
	for _, step := range scaleSteps {
		args := map[string]func(place) []string{stepFirst: g.backup, stepUnchanged: g.backup, stepDay: g.backup, stepList: g.list,
			stepDiff: g.diff, stepForget: g.forget, stepPrune: g.prune, stepCheck: g.check, stepRestore: g.restore}[step]
		if args == nil {
			continue
		}
		if step == stepDay {
			if err := changeSmall(ctx, p.phone, b.small, g.name); err != nil {
				return err
			}
		}
		if step == stepRestore {
			if err := os.MkdirAll(p.restore, 0o700); err != nil {
				return err
			}
		}
		c, err := listen(ctx, g.path, p.dir, g.env(p), spoken(args(p)))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s | %s | %.1f s | %d MB | %.1f s |\n", g.name, step, c.wall.Seconds(), c.memory/1e6, c.silence.Seconds())
	}
	return nil
}

// spoken has a program tell how far it is.
func spoken(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--quiet" {
			out[i] = "--json"
		}
	}
	return out
}

// smallFile is where a file is.
func smallFile(folder string, i int) string {
	return filepath.Join(folder, fmt.Sprintf("%04d", i/perFolder), fmt.Sprintf("IMG-%08d.txt", i))
}

func smallText(what string, i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%s %d\n", what, i), smallFileBytes/12)[:smallFileBytes])
}

// changeSmall gives one file in changedOf another content.
func changeSmall(ctx context.Context, folder string, n int, what string) error {
	for i := 0; i < n; i += changedOf {
		if err := errors.Join(ctx.Err(), os.WriteFile(smallFile(folder, i), smallText(what+" file", i), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// makeSmall makes n files, each with content of its own, unless they are there.
func makeSmall(ctx context.Context, folder string, n int) error {
	done := filepath.Join(folder+".made", fmt.Sprint(n))
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	for i := range n {
		path := smallFile(folder, i)
		if i%perFolder == 0 {
			if err := errors.Join(ctx.Err(), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
				return err
			}
		}
		if err := os.WriteFile(path, smallText("small file", i), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(done), 0o755); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o644)
}

// listen is measure, and listens to what the process says meanwhile.
func listen(ctx context.Context, path, dir string, env, args []string) (scaleCost, error) {
	unix.Sync()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), dir
	var said bytes.Buffer
	start := time.Now()
	heard := &ear{last: start}
	cmd.Stdout, cmd.Stderr = heard, &said
	err := cmd.Run()
	c := scaleCost{cost: cost{wall: time.Since(start)}, silence: heard.longest(time.Now())}
	if err != nil {
		return c, fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), err, said.String())
	}
	c.memory = peak(cmd.ProcessState.SysUsage().(*syscall.Rusage))
	return c, nil
}

// ear hears when something is said, and not what.
type ear struct {
	mu   sync.Mutex
	last time.Time     // guarded by mu
	most time.Duration // guarded by mu
}

func (e *ear) Write(b []byte) (int, error) {
	e.longest(time.Now())
	return len(b), nil
}

func (e *ear) longest(now time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.most, e.last = max(e.most, now.Sub(e.last)), now
	return e.most
}
