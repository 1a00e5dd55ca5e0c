package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one line of the report.
type row struct {
	promise, room, name, what string
	tried, least              int
	took                      time.Duration
	failure                   string // "" when it held
}

type report struct {
	out        io.Writer // failures, as they come
	began      time.Time
	only       string
	executions int
	rows       []row
	transcript strings.Builder // of what failed
	took       time.Duration
	diskPeak   int64
}

func (r *report) begin(only string, executions int) {
	r.began, r.only, r.executions = time.Now(), only, executions
}

func (r *report) end(diskPeak int64) { r.took, r.diskPeak = time.Since(r.began), diskPeak }

func (r *report) failures() (n int) {
	for _, row := range r.rows {
		if row.failure != "" {
			n++
		}
	}
	return n
}

func (r *report) add(w row, output string) {
	r.rows = append(r.rows, w)
	if w.failure != "" {
		fmt.Fprintf(r.out, "soak: FAILED %s %s: %s\n%s\n", w.room, w.name, w.failure, tail(output))
		fmt.Fprintf(&r.transcript, "%s %s: %s\n%s\n", w.room, w.name, w.failure, tail(output))
	}
}

func (r *report) failed(room, name string, err error) {
	r.add(row{promise: "-", room: room, name: name, failure: "did not start"}, err.Error())
}

var (
	verdictLine = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\w+) \(([0-9.]+)s\)`)
	startLine   = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\w+)`)
	triedLine   = regexp.MustCompile(`soak: (\w+): tried (\d+) of (\d+) (.+)$`)
	execsLine   = regexp.MustCompile(`execs: (\d+)`)
)

// tested reads what a test binary said under -test.v.
func (r *report) tested(m room, output string, err error) {
	said, took, verdict := map[string][]row{}, map[string]time.Duration{}, map[string]string{}
	current := ""
	for text := range strings.Lines(output) {
		text = strings.TrimRight(text, "\n")
		if s := startLine.FindStringSubmatch(text); s != nil {
			current = s[1]
		} else if s := verdictLine.FindStringSubmatch(text); s != nil {
			seconds, _ := strconv.ParseFloat(s[3], 64)
			verdict[s[2]], took[s[2]] = s[1], time.Duration(seconds*float64(time.Second))
		} else if s := triedLine.FindStringSubmatch(text); s != nil {
			said[current] = append(said[current], row{promise: s[1], tried: number(s[2]), least: number(s[3]), what: s[4]})
		}
	}
	for _, name := range m.tests {
		rows := said[name]
		if len(rows) == 0 {
			rows = []row{{promise: "-", what: "said nothing of its size"}}
		}
		for _, w := range rows {
			w.room, w.name, w.took = m.name, name, took[name]
			switch {
			case verdict[name] == "":
				w.failure = "did not end"
				if err != nil {
					w.failure += ": " + err.Error()
				}
			case verdict[name] != "PASS":
				w.failure = strings.ToLower(verdict[name])
			case w.tried < w.least || w.least == 0:
				w.failure = "did too little"
			}
			r.add(w, output)
		}
	}
}

func (r *report) fuzzed(room, target, output string, err error, took time.Duration, least int) {
	w := row{promise: "P7", room: room, name: target, what: "executions", took: took, least: least}
	for _, found := range execsLine.FindAllStringSubmatch(output, -1) {
		w.tried = number(found[1])
	}
	switch {
	case err != nil:
		w.failure = err.Error()
	case w.tried < least:
		w.failure = "did too little"
	}
	r.add(w, output)
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func tail(output string) string {
	const lines = 40
	all := strings.SplitAfter(output, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

func (r *report) write(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	name := r.began.Format(time.DateOnly) + "-" + commit()
	if r.only != "" || r.executions < fuzzExecutions {
		name += "-part"
	}
	file := filepath.Join(folder, name+".md")
	return file, os.WriteFile(file, r.text(), 0o644)
}

func (r *report) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Soak of %s, commit %s\n\n", r.began.Format(time.DateOnly), commit())
	fmt.Fprintf(&b, "%s; %d processors, %s/%s, %s. ", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, memory())
	fmt.Fprintf(&b, "Took %v, at most %d MiB of temporary files.\n", r.took.Round(time.Second), r.diskPeak>>20)
	if r.only != "" {
		fmt.Fprintf(&b, "Only a part was run: `make soak ONLY='%s'`.\n", r.only)
	}
	if r.executions < fuzzExecutions {
		fmt.Fprintf(&b, "Fuzz targets ran %d executions, fewer than the %d that are promised.\n", r.executions, fuzzExecutions)
	}
	if n := r.failures(); n > 0 {
		fmt.Fprintf(&b, "\n**%d of %d lines failed.**\n", n, len(r.rows))
	} else {
		fmt.Fprintf(&b, "\nAll %d lines held.\n", len(r.rows))
	}
	b.WriteString("\n| promise | test | tried | of at least | what | time | verdict |\n|---|---|---:|---:|---|---:|---|\n")
	slices.SortStableFunc(r.rows, func(a, b row) int {
		return cmp.Compare(number(strings.TrimLeft(a.promise, "P-")), number(strings.TrimLeft(b.promise, "P-")))
	})
	for _, w := range r.rows {
		fmt.Fprintf(&b, "| %s | %s %s | %d | %d | %s | %v | %s |\n", w.promise, w.room, w.name, w.tried, w.least, w.what,
			w.took.Round(100*time.Millisecond), cmp.Or(strings.ReplaceAll(w.failure, "\n", "; "), "held"))
	}
	if r.transcript.Len() > 0 {
		fmt.Fprintf(&b, "\n## What failed\n\n```\n%s```\n", r.transcript.String())
	}
	return b.Bytes()
}

func commit() string {
	output, err := exec.Command("git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	id := strings.TrimSpace(string(output))
	if changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changed) > 0 {
		id += "+changes"
	}
	return id
}

// memory is the machine's, where the system says it.
func memory() string {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "memory not known"
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 || fields[0] != "MemTotal:" {
		return "memory not known"
	}
	return fmt.Sprintf("%d GiB of memory", number(fields[1])>>20)
}
