// Run is `make soak`: it runs the long size of every test that has one and
// every fuzz target for a number of executions, and writes a report.
//
// A run that did too little fails: a test on the roster that did not run, that
// did not say how far it came, or a fuzz target short of its executions.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	fuzzExecutions = 1_500_000
	testLimit      = 60 * time.Minute // of one room
	fuzzLimit      = 30 * time.Minute // of one target
	diskPause      = 2 * time.Second
	diskMax        = 4 << 30 // of a whole run: a test frees as it goes
)

func main() {
	r := runner{report: report{out: os.Stdout}}
	only := flag.String("only", "", "run only what matches, as \"room Name\"")
	flag.StringVar(&r.reports, "reports", "docs/soak", "where the report goes")
	flag.IntVar(&r.executions, "executions", fuzzExecutions, "of each fuzz target; fewer than the default is said in the report")
	flag.Int64Var(&r.diskMax, "disk", diskMax, "bytes of temporary files at which the run is stopped")
	flag.Parse()
	if err := r.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

type runner struct {
	reports    string
	executions int
	diskMax    int64
	scratch    string
	runs       int // binaries run so far; each has a folder of its own
	diskNow    atomic.Int64
	diskPeak   atomic.Int64
	report     report
}

func (r *runner) run(only string) (err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	top, err := os.Getwd()
	if err != nil {
		return err
	}
	rooms, err := roster(top)
	if err != nil {
		return err
	}
	if r.scratch, err = os.MkdirTemp("", "soak"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(r.scratch)) }()
	stop := make(chan struct{})
	defer close(stop)
	go r.watchDisk(stop)

	r.report.begin(only, r.executions)
	for _, room := range rooms {
		r.room(room.only(pattern))
	}
	r.report.end(r.diskPeak.Load())
	if len(r.report.rows) == 0 {
		return fmt.Errorf("nothing matches %q, so nothing was tried", only)
	}
	file, err := r.report.write(r.reports)
	if err != nil {
		return err
	}
	fmt.Println("soak: written to", file)
	if n := r.report.failures(); n > 0 {
		return fmt.Errorf("%d of %d failed", n, len(r.report.rows))
	}
	return nil
}

func (r room) only(pattern *regexp.Regexp) room {
	kept := func(names []string) (out []string) {
		for _, name := range names {
			if pattern.MatchString(r.name + " " + name) {
				out = append(out, name)
			}
		}
		return out
	}
	r.tests, r.fuzz = kept(r.tests), kept(r.fuzz)
	return r
}

// room builds one package's tests and runs them, then its fuzz targets. The
// binary is run itself, not through go test, so that it can be stopped and
// that what it leaves in temporary folders and the fuzz cache goes with them.
func (r *runner) room(m room) {
	if len(m.tests) > 0 {
		binary, err := r.build(m, "test")
		if err != nil {
			r.report.failed(m.name, strings.Join(m.tests, ", "), err)
		} else {
			r.tests(m, binary)
		}
	}
	if len(m.fuzz) == 0 {
		return
	}
	binary, err := r.build(m, "fuzz", "-fuzz=.")
	for _, target := range m.fuzz {
		if err != nil {
			r.report.failed(m.name, target, err)
			continue
		}
		r.fuzz(m, binary, target)
	}
}

func (r *runner) build(m room, kind string, flags ...string) (string, error) {
	binary := filepath.Join(r.scratch, strings.ReplaceAll(m.name, "/", "-")+"."+kind)
	arguments := append([]string{"test", "-c", "-tags", tags, "-o", binary}, flags...)
	command := exec.Command("go", append(arguments, ".")...)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "CGO_ENABLED=1")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return binary, nil
}

func (r *runner) tests(m room, binary string) {
	defer os.Remove(binary)
	fmt.Printf("soak: %s %s\n", m.name, strings.Join(m.tests, " "))
	output, err := r.binary(m, testLimit, binary,
		"-test.run=^("+strings.Join(m.tests, "|")+")$", "-test.v", "-test.timeout="+testLimit.String())
	r.report.tested(m, output, err)
}

func (r *runner) fuzz(m room, binary, target string) {
	fmt.Printf("soak: %s %s\n", m.name, target)
	begun := time.Now()
	output, err := r.binary(m, fuzzLimit, binary, "-test.run=^$", "-test.fuzz=^"+target+"$",
		fmt.Sprintf("-test.fuzztime=%dx", r.executions), "-test.fuzzcachedir="+filepath.Join(r.scratch, "fuzz"))
	r.report.fuzzed(m.name, target, output, err, time.Since(begun), r.executions)
}

// binary runs a test binary in its package's folder and gives what it said.
func (r *runner) binary(m room, limit time.Duration, binary string, arguments ...string) (string, error) {
	r.runs++
	temporary := filepath.Join(r.scratch, strconv.Itoa(r.runs)) // short: sockets have names of at most 108 bytes
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return "", err
	}
	defer func() { _ = removeAll(temporary); r.diskNow.Store(bytesIn(r.scratch)) }()
	command := exec.Command(binary, arguments...)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "STRONGROOM_SOAK=1", "TMPDIR="+temporary)
	ownGroup(command)
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	deadline, pause := time.After(limit), time.NewTicker(diskPause)
	defer pause.Stop()
	for {
		select {
		case err := <-ended:
			return output.String(), err
		case <-deadline:
			killGroup(command)
			return output.String(), errors.Join(fmt.Errorf("not done after %v", limit), <-ended)
		case <-pause.C:
			if n := r.diskNow.Load(); n > r.diskMax {
				killGroup(command)
				return output.String(), errors.Join(fmt.Errorf("%d MiB of temporary files, at most %d", n>>20, r.diskMax>>20), <-ended)
			}
		}
	}
}

func (r *runner) watchDisk(stop chan struct{}) {
	pause := time.NewTicker(diskPause)
	defer pause.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pause.C:
			n := bytesIn(r.scratch)
			r.diskNow.Store(n)
			r.diskPeak.Store(max(r.diskPeak.Load(), n))
		}
	}
}

// bytesIn counts what is there; files come and go meanwhile.
func bytesIn(folder string) (n int64) {
	filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += diskBytes(info)
			}
		}
		return nil
	})
	return n
}

// removeAll also removes folders that a test made unreadable.
func removeAll(folder string) error {
	filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(folder)
}
