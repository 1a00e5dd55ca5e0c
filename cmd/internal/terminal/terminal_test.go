package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_960: "100 kB", 999_600: "1.0 MB", 1_234_567_890: "1.2 GB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 1234567: "1,234,567 files"} {
		if got := Count(n, "file"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Rate(5_000_000, 2*time.Second); got != "2.5 MB/s" {
		t.Error(got)
	}
}

// A program gets JSON lines and nothing else.
func TestJSONOnly(t *testing.T) {
	var out, side bytes.Buffer
	term := &Terminal{In: strings.NewReader("x\n"), Out: &out, Err: &side, JSON: true}
	term.Say("for people")
	term.Note("for people")
	show, done := term.Start("backing up")
	show(Progress{BytesDone: 1})
	done()
	if err := term.Event("done", struct {
		Files int `json:"files"`
	}{3}); err != nil {
		t.Fatal(err)
	}
	if err := term.Event("empty", struct{}{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || side.Len() != 0 {
		t.Fatalf("out %q, err %q", out.String(), side.String())
	}
	for _, line := range lines {
		var v struct {
			Event string
			Files int
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.Event == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
	if _, err := term.Ask("name?"); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("a program was asked: %v", err)
	}
}

// Ctrl-C ends a question that nobody answers.
func TestQuestionsEndWithTheContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	silent, _ := io.Pipe()
	term := &Terminal{In: silent, Out: io.Discard, Err: io.Discard, Ctx: ctx}
	time.AfterFunc(10*time.Millisecond, stop)
	if _, err := term.Ask("name?"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Secrets are never read from a pipe by accident.
func TestSecretNeedsATerminal(t *testing.T) {
	term := &Terminal{In: strings.NewReader("hunter2hunter2\n"), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	if _, err := term.Secret("password:"); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("got %v", err)
	}
	said, err := term.Ask("line:")
	if err != nil || said != "hunter2hunter2" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestTableAligns(t *testing.T) {
	table := Table{Right: []bool{false, true}}
	table.Row("größe", "1")
	table.Row("b", "100")
	if got, want := table.String(), "  größe    1\n  b      100"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	if got, want := wrap("— ", "äöü bcd e fghi", 8), "— äöü\n  bcd e\n  fghi"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := wrap("> ", "a-word-past-the-screen", 8); got != "> a-word-past-the-screen" {
		t.Errorf("got %q", got)
	}
}

// Attack: a name that a screen obeys.
func TestNamesDoNotSteerTheScreen(t *testing.T) {
	var out, errs strings.Builder
	term := &Terminal{Out: &out, Err: &errs}
	for name, want := range map[string]string{
		"a\x1b[2J":                          `a\x1b[2J`,
		"b\rc\x07\x7f":                      `b\x0dc\x07\x7f`,
		"c\u009b2J\u202etxt.":               `c\u009b2J\u202etxt.`,
		"d\xff\xfe":                         `d\xff\xfe`,
		"grüße 🙂\n":                         "grüße 🙂\n",
		strongOn + "x" + strongOff + "\x1b": strongOn + "x" + strongOff + `\x1b`,
	} {
		out.Reset()
		errs.Reset()
		term.Say("%s", name)
		term.Note("%s", name)
		if out.String() != want+"\n" || errs.String() != want+"\n" {
			t.Errorf("%q: %q, %q", name, out.String(), errs.String())
		}
	}
	if got := Line("x\nThe backup is whole."); got != `x\nThe backup is whole.` {
		t.Error(got)
	}
	var table Table
	table.Row("x\ny\x1b", "z")
	if got := table.String(); got != `  x\ny\x1b  z` {
		t.Errorf("%q", got)
	}
}
