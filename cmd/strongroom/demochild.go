package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"strongroom/cmd/internal/demostore"
	"strongroom/cmd/internal/terminal"
)

// childWait is how long a child may take to say that it is ready.
const childWait = 30 * time.Second

// outcome is how one command of the demo ended.
type outcome struct {
	name   string
	code   int
	took   time.Duration
	memory int64 // at most resident, bytes
	events []map[string]any
	stderr string
}

// last is the newest event of a name, nil when there was none.
func (o *outcome) last(name string) map[string]any {
	for _, e := range slices.Backward(o.events) {
		if e["event"] == name {
			return e
		}
	}
	return nil
}

func (o *outcome) want(codes ...int) error {
	if slices.Contains(codes, o.code) {
		return nil
	}
	return fmt.Errorf("strongroom %s ended with code %d: %v %s", o.name, o.code, o.last("error"), o.stderr)
}

func (o *outcome) backup(codes ...int) (b backupEvent, err error) {
	if err := o.want(codes...); err != nil {
		return b, err
	}
	text, err := json.Marshal(o.last("backup"))
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(text, &b)
}

// run runs one strongroom command as its own process and reads its JSON
// lines. password, when not empty, goes to its standard input.
func (d *demo) run(name, password string, args ...string) (*outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d.term.Para("   $ ", "strongroom "+strings.Join(append([]string{name}, shortened(args, d.dir)...), " "))
	full := append([]string{name, "--json", "--data", d.dataDir()}, args...)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(d.ctx, self, full...)
	if password != "" {
		cmd.Args = append(cmd.Args, "--password-stdin")
		cmd.Stdin = strings.NewReader(password + "\n")
	}
	cmd.Stderr, cmd.Env = &stderr, childEnvironment()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o := &outcome{name: name}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	readErr := d.follow(o, out)
	err = cmd.Wait()
	o.took, o.code, o.stderr = time.Since(start), cmd.ProcessState.ExitCode(), stderr.String()
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		o.memory = used.Maxrss << 10 // kilobytes on Linux
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	return o, errors.Join(err, readErr)
}

// follow reads events and shows the progress among them.
func (d *demo) follow(o *outcome, out io.Reader) error {
	titles := map[string]string{"backup": "Backing up", "restore": "Restoring", "check": "Checking"}
	show, done := func(terminal.Progress) {}, func() {}
	if title := titles[o.name]; title != "" {
		show, done = d.term.Start("   " + title)
	}
	defer done()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e map[string]any
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("strongroom %s wrote a line that is not JSON: %q", o.name, lines.Text())
		}
		if e["event"] == "progress" {
			var p terminal.Progress
			if json.Unmarshal(lines.Bytes(), &p) == nil {
				show(p)
			}
			continue
		}
		o.events = append(o.events, e)
	}
	return lines.Err()
}

// shortened takes the demo's own folder out of arguments, for reading.
func shortened(args []string, dir string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.TrimPrefix(a, dir+"/")
		if len(out[i]) > 44 {
			out[i] = out[i][:13] + "..."
		}
	}
	return out
}

// childEnvironment is ours without STRONGROOM_ settings of the person's own.
func childEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "STRONGROOM_") })
}

// child is a subprocess that lives until its standard input closes.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // of its standard output; closed at its end
	done  bool
}

func startChild(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr, cmd.Env = os.Stderr, childEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches it through us, in order
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin, lines: make(chan string, 1)}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	return c, nil
}

// first waits for the child's next line.
func (c *child) first() (string, error) {
	timer := time.NewTimer(childWait)
	defer timer.Stop()
	select {
	case line, ok := <-c.lines:
		if !ok {
			return "", errors.Join(errors.New("the demo's helper process ended at once"), c.end())
		}
		return line, nil
	case <-timer.C:
		return "", errors.Join(errors.New("the demo's helper process does not start"), c.end())
	}
}

// end closes the child's input and waits for it. The second call does nothing.
func (c *child) end() error {
	if c.done {
		return nil
	}
	c.done = true
	closed := c.stdin.Close()
	for range c.lines {
	}
	return errors.Join(closed, c.cmd.Wait())
}

// demoWriterCmd is the messenger as its own process: it writes until its
// standard input closes.
type demoWriterCmd struct {
	Dir  string `arg:""`
	Seed uint64 `arg:""`
}

func (c *demoWriterCmd) Run(s *session) error {
	ctx, stop := untilInputEnds(s, func() {})
	defer stop()
	return demostore.Store{Dir: c.Dir, Seed: c.Seed}.Live(ctx, s.term.Out)
}

// untilInputEnds gives a context that ends with the standard input; each line
// of it calls asked.
func untilInputEnds(s *session, asked func()) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(s.ctx)
	go func() {
		defer stop()
		for lines := bufio.NewScanner(s.term.In); lines.Scan(); {
			asked()
		}
	}()
	return ctx, stop
}

// writer is the running messenger, seen from the demo.
type writer struct {
	child *child
	last  atomic.Uint64
	end   chan struct{}
	pause time.Duration // the longest between two commits; read after stop
}

func startWriter(ctx context.Context, s demostore.Store) (*writer, error) {
	c, err := startChild(ctx, "demo-writer", s.Dir, fmt.Sprint(s.Seed))
	if err != nil {
		return nil, err
	}
	if _, err := c.first(); err != nil {
		return nil, err
	}
	w := &writer{child: c, end: make(chan struct{})}
	w.last.Store(1)
	go func() {
		defer close(w.end)
		for last := time.Now(); ; w.last.Add(1) {
			if _, ok := <-c.lines; !ok {
				return
			}
			now := time.Now()
			w.pause, last = max(w.pause, now.Sub(last)), now
		}
	}()
	return w, nil
}

func (w *writer) commits() uint64 { return w.last.Load() }

func (w *writer) stop() error {
	closed := w.child.stdin.Close()
	<-w.end
	w.child.done = true
	return errors.Join(closed, w.child.cmd.Wait())
}

// demoVault is a vault as its own process.
type demoVault struct {
	URL    string
	Pin    string
	tokens string // path
	child  *child
}

// vaultHello is what the vault process says first.
type vaultHello struct {
	URL    string          `json:"url"`
	Pin    string          `json:"pin"`
	Tokens json.RawMessage `json:"tokens"`
}

func startVault(ctx context.Context, dir, aside string) (*demoVault, error) {
	c, err := startChild(ctx, "demo-vault", dir, demoAccount)
	if err != nil {
		return nil, err
	}
	line, err := c.first()
	if err != nil {
		return nil, err
	}
	var hello vaultHello
	if err := json.Unmarshal([]byte(line), &hello); err != nil {
		return nil, errors.Join(fmt.Errorf("the demo's vault said %q: %w", line, err), c.end())
	}
	v := &demoVault{URL: hello.URL, Pin: hello.Pin, tokens: filepath.Join(aside, "tokens.json"), child: c}
	return v, os.WriteFile(v.tokens, hello.Tokens, 0o600)
}

func (v *demoVault) stop() error {
	if v == nil {
		return nil
	}
	return v.child.end()
}

// cpu asks the vault's process how much CPU it has used so far.
func (v *demoVault) cpu() (time.Duration, error) {
	if _, err := fmt.Fprintln(v.child.stdin, "cpu"); err != nil {
		return 0, err
	}
	line, err := v.child.first()
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(line)
}
