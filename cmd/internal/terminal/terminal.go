// Package terminal is how strongroom speaks with a person or a program: text
// and bars on a terminal, plain lines elsewhere, JSON lines where asked.
package terminal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const lineBytesMax = 16 << 10 // of one answer

// ErrNoAnswer: a question, and nobody there to answer it.
var ErrNoAnswer = errors.New("no terminal to ask on")

// Terminal is where a command reads and writes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	JSON     bool            // events as JSON lines on Out, nothing else there
	Ctx      context.Context // when it ends, so does every question; nil: never

	lines *bufio.Reader

	mu      sync.Mutex
	bar     *bar       // under mu
	waiting time.Time  // under mu: until then a wait was told
	events  sync.Mutex // one event at a time
}

// Standard is the process's own terminal.
func Standard(asJSON bool) *Terminal {
	return &Terminal{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, JSON: asJSON}
}

// Interactive: somebody can be asked.
func (t *Terminal) Interactive() bool { return isTerminal(t.In) && !t.JSON }

// Say prints a line for people; a program does not get it.
func (t *Terminal) Say(format string, a ...any) {
	if !t.JSON {
		t.clear()
		fmt.Fprintln(t.Out, tame(fmt.Sprintf(format, a...)))
	}
}

// Note prints a line beside the result: to Err, for people only.
func (t *Terminal) Note(format string, a ...any) {
	if !t.JSON {
		t.clear()
		fmt.Fprintln(t.Err, tame(fmt.Sprintf(format, a...)))
	}
}

// Event prints one JSON line for programs: {"event": name, ...fields}.
func (t *Terminal) Event(name string, fields any) error {
	if !t.JSON {
		return nil
	}
	line, err := event(name, fields)
	if err != nil {
		return err
	}
	t.events.Lock()
	defer t.events.Unlock()
	_, err = t.Out.Write(append(line, '\n'))
	return err
}

func event(name string, fields any) ([]byte, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf(`{"event":%q`, name)
	if s := string(body); s != "{}" && s != "null" {
		return []byte(head + "," + s[1:]), nil
	}
	return []byte(head + "}"), nil
}

// Ask asks for one line. Without a terminal it reads the next line of In.
func (t *Terminal) Ask(question string) (string, error) {
	if t.JSON {
		return "", ErrNoAnswer
	}
	if t.Interactive() {
		fmt.Fprint(t.Err, question+" ")
	}
	said, err := t.wait(t.line)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(t.Err)
	}
	return said, err
}

// Secret asks for one line without showing it. Only on a terminal.
func (t *Terminal) Secret(question string) (string, error) {
	file, ok := t.In.(*os.File)
	if !ok || !t.Interactive() {
		return "", ErrNoAnswer
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(t.Err, question+" ")
	said, err := t.wait(func() (string, error) {
		b, err := term.ReadPassword(int(file.Fd()))
		return string(b), err
	})
	if errors.Is(err, context.Canceled) { // whoever pressed Ctrl-C wants to see what he types again
		err = errors.Join(err, term.Restore(int(file.Fd()), before))
	}
	fmt.Fprintln(t.Err)
	return said, err
}

// wait waits for an answer, or for the end of Ctx: a read of a terminal can
// not be interrupted, but it can be left behind.
func (t *Terminal) wait(read func() (string, error)) (string, error) {
	if t.Ctx == nil {
		return read()
	}
	type answer struct {
		said string
		err  error
	}
	came := make(chan answer, 1)
	go func() {
		said, err := read()
		came <- answer{said, err}
	}()
	select {
	case a := <-came:
		return a.said, a.err
	case <-t.Ctx.Done():
		return "", context.Canceled
	}
}

// Yes asks a question whose answer is yes only when the person types it.
func (t *Terminal) Yes(question string) (bool, error) {
	said, err := t.Ask(question + " Type yes:")
	return strings.EqualFold(strings.TrimSpace(said), "yes"), err
}

func (t *Terminal) line() (string, error) {
	if t.lines == nil {
		t.lines = bufio.NewReaderSize(t.In, lineBytesMax)
	}
	line, err := t.lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("an answer over %d bytes", lineBytesMax)
	}
	if err != nil && len(line) == 0 {
		return "", ErrNoAnswer
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Bytes writes an amount as people read it: 3 significant digits, decimal
// units.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 999.5 && unit < 4 {
		f /= 1000
		unit++
	}
	digits := 1
	if f >= 99.95 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s", digits, f, []string{"B", "kB", "MB", "GB", "TB"}[unit])
}

// Rate is an amount over a time, a second.
func Rate(n int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return Bytes(int64(float64(n)/d.Seconds())) + "/s"
}

// Count writes a number with its noun, which takes an s but for 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Number(n) + " " + noun + "s"
}

// Number writes a number as people read it.
func Number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Seconds writes a short wait in whole seconds, at least one.
func Seconds(d time.Duration) string { return fmt.Sprintf("%d s", max(1, int(d.Seconds()+0.5))) }

// Duration writes a time as people read it.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
