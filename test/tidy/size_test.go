package tidy

import (
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	fileLinesSoft        = 300 // reported
	fileLinesMax         = 600
	functionLinesTrusted = 70
	functionLinesMax     = 100
	trustedLinesMax      = 13200 // of code, 3,000 of them for the agreement of several boxes, 1,200 for several islands: to write the attack beside the line costs nothing
)

// shortRooms hold functions of at most functionLinesTrusted lines.
var shortRooms = []string{"vault", "protocol", "backup/seal"}

// trustedRooms can see a secret on the server; their lines are counted.
var trustedRooms = []string{"vault", "box", "hsm", "protocol"}

var emptyNames = []string{"util", "utils", "common", "manager", "helper", "helpers", "base", "core", "misc", "shared", "lib"}

func sizeLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		if n := lines(s.text); n > fileLinesMax {
			broken = append(broken, fmt.Sprintf("%s: %d lines, at most %d", s.path, n, fileLinesMax))
		}
		if s.test {
			continue
		}
		limit := functionLinesMax
		if slices.ContainsFunc(shortRooms, func(room string) bool { return under(s.room, room) }) {
			limit = functionLinesTrusted
		}
		for _, declared := range s.syntax.Decls {
			f, found := declared.(*ast.FuncDecl)
			if !found {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > limit {
				broken = append(broken, fmt.Sprintf("%s:%d: func %s has %d lines, at most %d", s.path, s.line(f.Pos()), f.Name.Name, n, limit))
			}
		}
	}
	return broken
}

func nameLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		name := strings.TrimSuffix(s.syntax.Name.Name, "_test")
		for _, part := range append(strings.Split(s.room, "/"), name, strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")) {
			if slices.Contains(emptyNames, part) {
				broken = append(broken, fmt.Sprintf("%s: the name %q says nothing", s.path, part))
			}
		}
	}
	return broken
}

// trusted gives lines of code by room, tests and test contracts left out, and their
// sum as one box has them: a box runs one HSM provider, so of those the
// largest counts.
func trusted(t tree) (rooms map[string]int, sum int) {
	rooms = map[string]int{}
	provider := 0
	for _, s := range t.sources() {
		if s.test || slices.Contains(s.imports(), "testing") {
			continue
		}
		if slices.ContainsFunc(trustedRooms, func(room string) bool { return under(s.room, room) }) {
			rooms[s.room] += codeLines(s.text)
		}
	}
	for room, n := range rooms {
		if under(room, "hsm") && !under(room, "hsm/internal") { // what providers share comes with each
			provider = max(provider, n)
		} else {
			sum += n
		}
	}
	return rooms, sum + provider
}

func trustedLaw(t tree) []string {
	if _, sum := trusted(t); sum > trustedLinesMax {
		return []string{fmt.Sprintf("trusted rooms have %d lines of code, at most %d", sum, trustedLinesMax)}
	}
	return nil
}

func lines(text string) int { return strings.Count(text, "\n") }

// codeLines counts the lines that hold more than comments and space.
func codeLines(text string) int {
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), nil, 0)
	held := map[int]bool{}
	for {
		at, kind, literal := s.Scan()
		if kind == token.EOF {
			return len(held)
		}
		if kind == token.SEMICOLON && literal == "\n" {
			continue // put in by the language, where a line ends
		}
		first := file.Line(at)
		for n := range strings.Count(literal, "\n") + 1 {
			held[first+n] = true
		}
	}
}

func TestSizeLaw(t *testing.T) {
	holds(t, sizeLaw)
	for _, s := range readHouse(t).sources() {
		if n := lines(s.text); n > fileLinesSoft && n <= fileLinesMax {
			t.Logf("%s: %d lines, more than the %d that read well", s.path, n, fileLinesSoft)
		}
	}
}

func TestNameLaw(t *testing.T) { holds(t, nameLaw) }

func TestTrustedLaw(t *testing.T) {
	holds(t, trustedLaw)
	rooms, sum := trusted(readHouse(t))
	if sum == 0 {
		t.Fatal("no trusted room was found")
	}
	var names []string
	for room := range rooms {
		names = append(names, room)
	}
	slices.Sort(names)
	for _, room := range names {
		t.Logf("%6d lines  %s", rooms[room], room)
	}
	t.Logf("%6d lines of code in the trusted rooms of one box, with its largest HSM provider, at most %d", sum, trustedLinesMax)
}

func TestSizeLawCatches(t *testing.T) {
	function := func(lines int) string {
		return "package p\n\nfunc f() {\n" + strings.Repeat("\tf()\n", lines-2) + "}\n"
	}
	clean := tree{"vault/a.go": function(70), "backup/a.go": function(100), "vault/a_test.go": function(500), "client/a.go": "package p\n" + strings.Repeat("\n", 599)}
	catches(t, sizeLaw, clean, tree{"vault/b.go": function(71)}, "vault/b.go:3: func f has 71 lines, at most 70")
	catches(t, sizeLaw, clean, tree{"backup/seal/b.go": function(71)}, "has 71 lines")
	catches(t, sizeLaw, clean, tree{"backup/b.go": function(101)}, "has 101 lines, at most 100")
	catches(t, sizeLaw, clean, tree{"client/b.go": "package p\n" + strings.Repeat("\n", 600)}, "client/b.go: 601 lines")
}

func TestNameLawCatches(t *testing.T) {
	clean := tree{"backup/a.go": "package backup", "protocol/basement/a.go": "package basement"}
	catches(t, nameLaw, clean, tree{"backup/util/a.go": "package x"}, `"util"`)
	catches(t, nameLaw, clean, tree{"backup/helper.go": "package backup"}, `"helper"`)
	catches(t, nameLaw, clean, tree{"backup/x/a.go": "package core"}, `"core"`)
}

func TestTrustedLawCatches(t *testing.T) {
	long := "package p\n\n// What is said costs nothing.\n" + strings.Repeat("var _ = 1 // one\n", 99)
	clean := tree{}
	for i := range trustedLinesMax / 100 {
		clean[fmt.Sprintf("vault/%d.go", i)] = long
	}
	catches(t, trustedLaw, clean, tree{"hsm/soft/a.go": "package p\n"}, fmt.Sprintf("have %d lines", trustedLinesMax+1))
	catches(t, trustedLaw, clean, tree{"hsm/a/a.go": "package p\n", "hsm/b/b.go": "package p\n\nvar _ = `\n`\n"}, fmt.Sprintf("have %d lines", trustedLinesMax+3))
}
