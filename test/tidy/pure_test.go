package tidy

import (
	"fmt"
	"go/ast"
	"slices"
	"testing"
)

// pureRooms take random, ticks and memory from outside and start nothing, so
// that a box can be audited, simulated and sandboxed.
var pureRooms = []string{"vault", "protocol"}

// impure and all below them.
var impure = []string{"os", "net", "time", "log", "sync", "math/rand", "syscall", "unsafe", "C", "runtime", "testing"}

func pureLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		if s.test || !slices.ContainsFunc(pureRooms, func(room string) bool { return under(s.room, room) }) {
			continue
		}
		for _, imported := range s.imports() {
			if slices.ContainsFunc(impure, func(name string) bool { return under(imported, name) }) {
				broken = append(broken, fmt.Sprintf("%s: a pure room imports %s", s.path, imported))
			}
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if g, found := n.(*ast.GoStmt); found {
				broken = append(broken, fmt.Sprintf("%s:%d: a pure room starts a goroutine", s.path, s.line(g.Pos())))
			}
			return true
		})
	}
	return broken
}

func TestPureLaw(t *testing.T) { holds(t, pureLaw) }

func TestPureLawCatches(t *testing.T) {
	clean := tree{
		"vault/a.go":      "package vault\nimport _ \"crypto/rand\"",
		"vault/a_test.go": "package vault\nimport _ \"os\"\nfunc f() { go f() }",
		"host/node/a.go":  "package node\nimport _ \"os\"\nfunc f() { go f() }",
	}
	for _, name := range []string{"os", "os/exec", "net", "net/http", "time", "log", "log/slog", "sync", "sync/atomic", "math/rand", "math/rand/v2"} {
		catches(t, pureLaw, clean, tree{"protocol/wire/b.go": fmt.Sprintf("package wire\nimport _ %q", name)}, "protocol/wire/b.go: a pure room imports "+name)
	}
	catches(t, pureLaw, clean, tree{"vault/internal/record/b.go": "package record\nfunc f() {\n\tgo f()\n}"}, "vault/internal/record/b.go:3: a pure room starts")
}
