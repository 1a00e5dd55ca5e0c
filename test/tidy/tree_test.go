// Package tidy holds the laws of the house, as tests over its files. Each law
// is a function from a tree to what breaks it, and each is tried on a planted
// violation too: a law that can not fail is no law.
package tidy

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	top     = "../.." // the module's folder, seen from here
	module  = "strongroom"
	filesIn = 40 // fewer files than this: the tree was not read
)

// tree is the text of each file by its path from the top.
type tree map[string]string

// law gives one line for each break.
type law func(tree) []string

// house is the tree that git holds, with files not yet added.
var house = sync.OnceValues(func() (tree, error) {
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = top
	output, err := command.Output()
	if err != nil {
		return nil, err
	}
	t, folders := tree{}, map[string]bool{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(output), "\x00"), "\x00") {
		data, err := os.ReadFile(path.Join(top, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, not yet committed
		}
		if err != nil {
			return nil, err
		}
		t[name] = string(data)
		// Go's test cache watches the folders that a test has read: so a new
		// file, which only git told of, makes the test run again.
		for folder := path.Dir(name); !folders[folder]; folder = path.Dir(folder) {
			folders[folder] = true
			if _, err := os.ReadDir(path.Join(top, folder)); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
})

func readHouse(t *testing.T) tree {
	t.Helper()
	files, err := house()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	if len(files) < filesIn {
		t.Fatalf("found %d files only: the laws would hold for nothing", len(files))
	}
	return files
}

// holds fails for each break in the house.
func holds(t *testing.T, l law) {
	t.Helper()
	for _, broken := range l(readHouse(t)) {
		t.Error(broken)
	}
}

// catches fails if the law does not see a planted break, or sees one in the
// same tree without it.
func catches(t *testing.T, l law, clean, planted tree, want string) {
	t.Helper()
	if broken := l(clean); len(broken) > 0 {
		t.Errorf("a clean tree breaks the law: %q", broken)
	}
	dirty := tree{}
	for _, part := range []tree{clean, planted} {
		for name, text := range part {
			dirty[name] = text
		}
	}
	broken := strings.Join(l(dirty), "\n")
	if !strings.Contains(broken, want) {
		t.Errorf("planted, not found: wanted %q, got %q", want, broken)
	}
}

// source is one Go file of our own.
type source struct {
	path   string // from the top
	room   string // its folder
	test   bool
	text   string
	set    *token.FileSet
	syntax *ast.File
}

// sources parses every Go file of the module, whatever its build tags, in the
// order of their paths; files of nested modules and testdata are not ours.
func (t tree) sources() []source {
	var all []source
	for name, text := range t {
		if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") || strings.HasPrefix(name, "tools/") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic(err) // go vet, which runs before, would have said so
		}
		all = append(all, source{path: name, room: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), text: text, set: set, syntax: file})
	}
	slices.SortFunc(all, func(a, b source) int { return strings.Compare(a.path, b.path) })
	return all
}

func (s source) imports() []string {
	var paths []string
	for _, spec := range s.syntax.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, name)
	}
	return paths
}

func (s source) line(at token.Pos) int { return s.set.Position(at).Line }

// under: room is folder or lies below it.
func under(room, folder string) bool {
	return room == folder || strings.HasPrefix(room, folder+"/")
}

// What Go builds and what the laws read must be the same packages.
func TestTreeIsWhatGoSees(t *testing.T) {
	command := exec.Command("go", "list", "-json=ImportPath", "./...")
	command.Dir = top
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range readHouse(t).sources() {
		seen[path.Join(module, s.room)] = true
	}
	decoder, packages := json.NewDecoder(strings.NewReader(string(output))), 0
	for {
		var p struct{ ImportPath string }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages++
		if !seen[p.ImportPath] {
			t.Errorf("go list names %s, and git holds no file of it", p.ImportPath)
		}
	}
	if packages == 0 {
		t.Fatal("go list named no package")
	}
}
