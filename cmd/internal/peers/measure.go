package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cost is what one process took.
type cost struct {
	wall, cpu time.Duration
	memory    int64 // peak resident, bytes
	sent      int64 // bytes by which the repository grew
}

// measure runs one process. What earlier steps left to be written to the
// disk is written before the clock starts.
//
// Linux counts the memory of the parent at the fork into the child's peak:
// this program stays small, and makes stores in processes of their own.
func measure(ctx context.Context, path, dir string, env, args []string) (cost, error) {
	unix.Sync()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = nil, &said
	start := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(start)}
	if err != nil {
		return c, fmt.Errorf("%s %s: %w\n%s", path, strings.Join(args, " "), err, said.String())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	c.memory = peak(cmd.ProcessState.SysUsage().(*syscall.Rusage))
	return c, nil
}

// peak is ru_maxrss: KiB on Linux, bytes on macOS (getrusage(2)).
func peak(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}
