package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Attack: a crash report, or a Ctrl-\ in a terminal that is recorded. Go's
// traces write arguments out: of a key that is passed by value the first eight
// bytes stand in clear in the text that a person posts for help. So the
// functions that stand on the stack while a command works take a pointer.
func TestNoKeyInATrace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	pointers := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "demo") { // a demo's key protects nothing
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for _, p := range f.Type.Params.List {
				if isKey(p.Type) {
					t.Errorf("%s: %s takes a key by value", name, f.Name.Name)
				}
				if star, ok := p.Type.(*ast.StarExpr); ok && isKey(star.X) {
					pointers++
				}
			}
		}
	}
	if pointers < 8 {
		t.Errorf("%d functions take a key: this test looks at the wrong thing", pointers)
	}
}

func isKey(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Key"
}
