package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRoster: every room that imports test/soak has a test that a long run
// finds, and every test that it finds says how far it came.
func TestRoster(t *testing.T) {
	rooms, err := roster("../../..")
	if err != nil {
		t.Fatal(err)
	}
	tests, targets := 0, 0
	for _, r := range rooms {
		tests, targets = tests+len(r.tests), targets+len(r.fuzz)
		for _, name := range r.mute {
			t.Errorf("%s: %s has a long size and never calls soak.Tried", r.name, name)
		}
	}
	if tests < 1 || targets < 50 {
		t.Fatalf("only %d tests and %d fuzz targets were found", tests, targets)
	}
}

func TestRosterFinds(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("package a\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a_test.go", `
func TestPlain(t *testing.T) { plain() }
func TestDirect(t *testing.T) { n := soak.Size(1, 2); soak.Tried(t, "P7", "x", n, n) }
func TestThrough(t *testing.T) { var r rig; r.loop() }
func TestMute(t *testing.T) { _ = runs }
func TestContract(t *testing.T) { storetest.Run(t, nil) }
func TestOther(t *testing.T) { storetest.Bytes(1, 2) }
func FuzzOne(f *testing.F) {}
func plain() {}
`)
	write("b_test.go", `
var runs = soak.Size(6, 1000)
type rig struct{}
func (r rig) loop() { told(runs) }
func told(n int) { soak.Tried(nil, "P1", "x", n, runs) }
func TestMain(m *testing.M) { _ = runs }
`)
	r := room{dir: folder, sized: map[string]bool{"storetest.Run": true}}
	if err := r.read([]string{"a_test.go", "b_test.go"}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.tests, []string{"TestContract", "TestDirect", "TestMute", "TestThrough"}) || !slices.Equal(r.mute, []string{"TestMute"}) || !slices.Equal(r.fuzz, []string{"FuzzOne"}) {
		t.Errorf("%+v", r)
	}
}

// A report holds only what ran to its end and went as far as it was to.
func TestReportJudges(t *testing.T) {
	const output = `=== RUN   TestGood
=== RUN   TestGood/part
    a_test.go:3: soak: P7: tried 1000 of 1000 bad vectors
--- PASS: TestGood (61.50s)
=== RUN   TestShort
    a_test.go:9: soak: P8: tried 5 of 10 flips
    a_test.go:9: P8: this run did too little: 5 of 10 flips
--- FAIL: TestShort (0.01s)
=== RUN   TestScale
    a_test.go:9: soak: scale: tried 9 of 9 records
--- PASS: TestScale (0.00s)
=== RUN   TestMute
--- PASS: TestMute (0.00s)
=== RUN   TestSkipped
    a_test.go:9: soak: P8: tried 10 of 10 flips
--- SKIP: TestSkipped (0.00s)
=== RUN   TestHung
    a_test.go:9: soak: P8: tried 10 of 10 flips
`
	r := report{out: io.Discard, began: time.Now(), executions: fuzzExecutions}
	r.tested(room{name: "a", tests: []string{"TestGood", "TestScale", "TestShort", "TestMute", "TestSkipped", "TestHung", "TestMissing"}}, output, errors.New("killed"))
	r.fuzzed("a", "FuzzGood", "fuzz: elapsed: 3s, execs: 10 (9/sec)\nfuzz: elapsed: 4s, execs: 1500000 (9/sec)\nPASS\n", nil, time.Second, 1_500_000)
	r.fuzzed("a", "FuzzShort", "fuzz: elapsed: 3s, execs: 10 (9/sec)\nPASS\n", nil, time.Second, 1_500_000)
	r.fuzzed("a", "FuzzNone", "PASS\n", nil, time.Second, 1_500_000)
	r.fuzzed("a", "FuzzBad", "execs: 1500000\nFAIL\n", errors.New("exit status 1"), time.Second, 1_500_000)
	verdicts := map[string]string{}
	for _, w := range r.rows {
		verdicts[w.name] = w.failure
	}
	want := map[string]string{
		"TestGood": "", "TestScale": "", "TestShort": "fail", "TestMute": "did too little", "TestSkipped": "skip",
		"TestHung": "did not end: killed", "TestMissing": "did not end: killed",
		"FuzzGood": "", "FuzzShort": "did too little", "FuzzNone": "did too little", "FuzzBad": "exit status 1",
	}
	for name, failure := range want {
		if got, found := verdicts[name]; !found || got != failure {
			t.Errorf("%s: %q, want %q", name, got, failure)
		}
	}
	text := string(r.text())
	if !strings.Contains(text, "| P7 | a TestGood | 1000 | 1000 | bad vectors | 1m1.5s | held |") || !strings.Contains(text, "**8 of 11 lines failed.**") {
		t.Errorf("%s", text)
	}
}
