package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	module   = "strongroom"
	soakPath = module + "/test/soak"
	tags     = "pkcs11" // or hsm/pkcs11 has no tests
)

type listed struct {
	ImportPath, Dir           string
	Imports, GoFiles          []string
	TestGoFiles, XTestGoFiles []string
}

// contract notes the functions of a contract that come to a size, as
// "storetest.Run".
func (p listed) contract(sized map[string]bool) error {
	uses, err := parse(p.Dir, p.GoFiles, nil)
	if err != nil {
		return err
	}
	for name := range uses.used {
		if reached := uses.closure(name); ast.IsExported(name) && (reached[sizes] || reached[tries]) {
			sized[path.Base(p.ImportPath)+"."+name] = true
		}
	}
	return nil
}

// room is a package with what it has to run in a soak.
type room struct {
	name  string // "protocol/wire"
	dir   string
	tests []string        // those that come to soak.Size, soak.Long or soak.Tried
	mute  []string        // of these, those that never come to soak.Tried
	fuzz  []string        // every fuzz target
	sized map[string]bool // functions of contracts that have sizes: "storetest.Run"
}

// roster reads the module at top and gives the rooms that have anything to run.
func roster(top string) ([]room, error) {
	command := exec.Command("go", "list", "-tags", tags, "-json=ImportPath,Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	command.Dir = top
	command.Env = append(os.Environ(), "CGO_ENABLED=1") // or hsm/pkcs11 has none
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	var packages []listed
	sized := map[string]bool{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
		if slices.Contains(p.Imports, soakPath) {
			if err := p.contract(sized); err != nil {
				return nil, err
			}
		}
	}
	var rooms []room
	for _, p := range packages {
		r := room{name: strings.TrimPrefix(p.ImportPath, module+"/"), dir: p.Dir, sized: sized}
		for _, files := range [][]string{p.TestGoFiles, p.XTestGoFiles} {
			if err := r.read(files); err != nil {
				return nil, err
			}
		}
		if !strings.HasPrefix(r.name, "test/soak") && len(r.tests)+len(r.fuzz) > 0 {
			rooms = append(rooms, r)
		}
	}
	return rooms, nil
}

// read adds what the files of one package, together, declare.
func (r *room) read(files []string) error {
	uses, err := parse(r.dir, files, r.sized)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(uses.used)) {
		switch reached := uses.closure(name); {
		case strings.HasPrefix(name, "Fuzz"):
			r.fuzz = append(r.fuzz, name)
		case !strings.HasPrefix(name, "Test") || name == "TestMain":
		case reached[sizes] || reached[tries]:
			r.tests = append(r.tests, name)
			if !reached[tries] {
				r.mute = append(r.mute, name)
			}
		}
	}
	return nil
}

// What a test can come to.
const (
	sizes = "soak.Size"
	tries = "soak.Tried" // a contract does both, and its run shows it
)

// names notes which names each declaration uses. Methods go by their bare
// name: two of one name count as one, so that a test may be on the roster that
// need not be, and none is missed.
type names struct {
	sized map[string]bool
	used  map[string]map[string]bool
}

func parse(dir string, files []string, sized map[string]bool) (names, error) {
	set, uses := token.NewFileSet(), names{sized: sized, used: map[string]map[string]bool{}}
	for _, name := range files {
		file, err := parser.ParseFile(set, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return uses, err
		}
		for _, d := range file.Decls {
			uses.collect(d)
		}
	}
	return uses, nil
}

func (n names) collect(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		n.note(d.Name.Name, d)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, name := range s.Names {
					n.note(name.Name, s)
				}
			case *ast.TypeSpec:
				n.note(s.Name.Name, s)
			}
		}
	}
}

func (n names) note(name string, declared ast.Node) {
	if n.used[name] == nil {
		n.used[name] = map[string]bool{}
	}
	ast.Inspect(declared, func(at ast.Node) bool {
		switch at := at.(type) {
		case *ast.SelectorExpr:
			x, ok := at.X.(*ast.Ident)
			switch {
			case !ok:
			case x.Name == "soak" && at.Sel.Name == "Tried", n.sized[x.Name+"."+at.Sel.Name]:
				n.used[name][tries] = true
			case x.Name == "soak":
				n.used[name][sizes] = true
			}
		case *ast.Ident:
			n.used[name][at.Name] = true
		}
		return true
	})
}

func (n names) closure(name string) map[string]bool {
	reached, open := map[string]bool{}, []string{name}
	for len(open) > 0 {
		last := open[len(open)-1]
		open = open[:len(open)-1]
		for next := range n.used[last] {
			// A test is called by nobody.
			if !reached[next] && !strings.HasPrefix(next, "Test") {
				reached[next] = true
				open = append(open, next)
			}
		}
	}
	return reached
}
