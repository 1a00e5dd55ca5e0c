package tidy

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// skips are the tests that may skip, as "file: function", each with its
// reason. A missing tool is no reason: such a test fails.
var skips = map[string]string{}

func skipLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		for _, declared := range s.syntax.Decls {
			f, found := declared.(*ast.FuncDecl)
			if !found || skips[s.path+": "+f.Name.Name] != "" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, found := n.(*ast.SelectorExpr)
				if found && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, call.Sel.Name) && s.usesTesting() {
					broken = append(broken, fmt.Sprintf("%s:%d: %s skips and is not in the list of test/tidy", s.path, s.line(call.Pos()), f.Name.Name))
				}
				return true
			})
		}
	}
	return broken
}

func (s source) usesTesting() bool { return slices.Contains(s.imports(), "testing") }

// fuzzLaw: each fuzz target has a corpus that is checked in and not empty, so
// that plain `go test` runs it on more than nothing.
func fuzzLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		for _, declared := range s.syntax.Decls {
			f, found := declared.(*ast.FuncDecl)
			if !found || !s.test || !strings.HasPrefix(f.Name.Name, "Fuzz") || f.Recv != nil {
				continue
			}
			corpus := path.Join(s.room, "testdata/fuzz", f.Name.Name)
			if !t.holdsIn(corpus) {
				broken = append(broken, fmt.Sprintf("%s:%d: no corpus in %s", s.path, s.line(f.Pos()), corpus))
			}
		}
	}
	return broken
}

func (t tree) holdsIn(folder string) bool {
	for name, text := range t {
		if path.Dir(name) == folder && strings.HasPrefix(text, "go test fuzz v1\n") {
			return true
		}
	}
	return false
}

// vectorLaw: each file of vectors holds something, and a test names it.
func vectorLaw(t tree) (broken []string) {
	for name, text := range t {
		if !strings.HasPrefix(name, "spec/vectors/") || strings.HasSuffix(name, ".md") {
			continue
		}
		if vectorsIn(name, text) == 0 {
			broken = append(broken, fmt.Sprintf("%s: holds no vectors", name))
		}
		if !t.namedByTest(path.Base(name)) {
			broken = append(broken, fmt.Sprintf("%s: no test names it", name))
		}
	}
	slices.Sort(broken)
	return broken
}

func (t tree) namedByTest(base string) bool {
	return slices.ContainsFunc(t.sources(), func(s source) bool {
		return s.test && s.room != "test/tidy" && strings.Contains(s.text, base)
	})
}

func vectorsIn(name, text string) int {
	if !strings.HasSuffix(name, ".json") {
		return len(strings.TrimSpace(text))
	}
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) == nil {
		return len(list)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) == nil {
		return len(object)
	}
	return 0
}

// loaderLaw: a test that goes through a folder says what it wants to find
// there. Without a count, a folder that moved would make the test pass on
// nothing.
func loaderLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		for _, declared := range s.syntax.Decls {
			f, found := declared.(*ast.FuncDecl)
			if !found || !s.test || f.Body == nil {
				continue
			}
			text := s.text[s.set.Position(f.Pos()).Offset:s.set.Position(f.End()).Offset]
			if loads(f) && strings.Contains(text, "vectors") && !counts(f) {
				broken = append(broken, fmt.Sprintf("%s:%d: %s loads vectors and does not fail when it finds none", s.path, s.line(f.Pos()), f.Name.Name))
			}
		}
	}
	return broken
}

func loads(f *ast.FuncDecl) (found bool) {
	names := []string{"ReadDir", "Glob", "WalkDir", "Walk", "ReadFile", "Open"}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.SelectorExpr)
		found = found || ok && slices.Contains(names, call.Sel.Name)
		return !found
	})
	return found
}

// counts: there is an if on a comparison with a number, or on len.
func counts(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f, func(n ast.Node) bool {
		branch, ok := n.(*ast.IfStmt)
		if !ok {
			return !found
		}
		ast.Inspect(branch.Cond, func(n ast.Node) bool {
			compare, ok := n.(*ast.BinaryExpr)
			found = found || ok && (countable(compare.X) || countable(compare.Y))
			return !found
		})
		return !found
	})
	return found
}

func countable(e ast.Expr) bool {
	if _, number := e.(*ast.BasicLit); number {
		return true
	}
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := call.Fun.(*ast.Ident)
	return ok && name.Name == "len"
}

// soakVariable asks for the long sizes. Only test/soak reads it, so that
// `make soak` finds every test that has one by who imports that package.
const soakVariable = "STRONGROOM_" + "SOAK"

func soakLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		if strings.Contains(s.text, soakVariable) && !under(s.room, "test/soak") {
			broken = append(broken, fmt.Sprintf("%s: reads %s itself; test/soak gives a test its sizes", s.path, soakVariable))
		}
		if !s.test && !s.usesTesting() && slices.Contains(s.imports(), module+"/test/soak") {
			broken = append(broken, fmt.Sprintf("%s: only tests and their contracts have a long size", s.path))
		}
	}
	return broken
}

func TestSoakLaw(t *testing.T) { holds(t, soakLaw) }

func TestSoakLawCatches(t *testing.T) {
	clean := tree{
		"test/soak/soak.go": "package soak\n// " + soakVariable, "a/a_test.go": "package a\nimport _ \"strongroom/test/soak\"",
		"a/atest/contract.go": "package atest\nimport _ \"testing\"\nimport _ \"strongroom/test/soak\"",
	}
	catches(t, soakLaw, clean, tree{"a/b_test.go": "package a\nvar _ = os.Getenv(\"" + soakVariable + "\")"}, "a/b_test.go: reads")
	catches(t, soakLaw, clean, tree{"hsm/soft/c.go": "package soft\nimport _ \"strongroom/test/soak\""}, "hsm/soft/c.go: only tests")
}

func TestSkipLaw(t *testing.T) { holds(t, skipLaw) }

func TestFuzzLaw(t *testing.T) { holds(t, fuzzLaw) }

func TestVectorLaw(t *testing.T) { holds(t, vectorLaw) }

func TestLoaderLaw(t *testing.T) { holds(t, loaderLaw) }

func TestSkipLawCatches(t *testing.T) {
	clean := tree{"a/a_test.go": "package a\nimport \"testing\"\nfunc TestA(t *testing.T) {}", "a/a.go": "package a\nfunc f(r reader) { r.Skip(3) }"}
	for _, call := range []string{"Skip(\"\")", "Skipf(\"\")", "SkipNow()"} {
		text := "package a\nimport \"testing\"\nfunc TestB(t *testing.T) {\n\tt.Run(\"x\", func(t *testing.T) { t." + call + " })\n}"
		catches(t, skipLaw, clean, tree{"a/b_test.go": text}, "a/b_test.go:4: TestB skips")
	}
}

func TestFuzzLawCatches(t *testing.T) {
	clean := tree{"a/a_test.go": "package a\nfunc FuzzA() {}", "a/testdata/fuzz/FuzzA/one": "go test fuzz v1\n[]byte(\"\")\n"}
	catches(t, fuzzLaw, clean, tree{"a/b_test.go": "package a\nfunc FuzzB() {}"}, "a/b_test.go:2: no corpus in a/testdata/fuzz/FuzzB")
	catches(t, fuzzLaw, clean, tree{"a/testdata/fuzz/FuzzA/one": ""}, "no corpus")
}

func TestVectorLawCatches(t *testing.T) {
	clean := tree{"a/a_test.go": "package a\n// one.json, none.json", "spec/vectors/one.json": "[1]", "spec/vectors/README.md": ""}
	catches(t, vectorLaw, clean, tree{"spec/vectors/two.json": "[1]"}, "two.json: no test names it")
	for _, empty := range []string{"", "[]", "{}", "null", "[1"} {
		catches(t, vectorLaw, clean, tree{"spec/vectors/none.json": empty}, "none.json: holds no vectors")
	}
}

func TestLoaderLawCatches(t *testing.T) {
	function := func(check string) string {
		return "package a\nfunc load() {\n\tall, _ := os.ReadDir(\"vectors\")\n\t" + check + "\n}"
	}
	clean := tree{"a/a_test.go": function("if len(all) == 0 { panic(1) }"), "a/b_test.go": function("if n < 20 { panic(1) }")}
	catches(t, loaderLaw, clean, tree{"a/c_test.go": function("if err != nil { panic(1) }")}, "a/c_test.go:2: load loads vectors")
}
