package tidy

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// threatsPage says what a thief of each part gains and which test shows it.
const threatsPage = "spec/threats.md"

// threatened are the parts of the trust table; the page has a row of each.
var threatened = []string{"client device", "cloud storage", "relay", "node", "box", "account issuer", "fleet's keys", "network"}

var namedTest = regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9_]+)`")

// threatLaw: each part has a row that names a test, and each test that the
// page names is there.
func threatLaw(t tree) (broken []string) {
	tests := map[string]bool{}
	for _, s := range t.sources() {
		for _, declared := range s.syntax.Decls {
			if f, found := declared.(*ast.FuncDecl); found && s.test && f.Recv == nil {
				tests[s.room+" "+f.Name.Name] = true
			}
		}
	}
	rows := map[string]bool{}
	for row := range strings.Lines(t[threatsPage]) {
		named := namedTest.FindAllStringSubmatch(row, -1)
		for _, m := range named {
			if !tests[m[1]+" "+m[2]] {
				broken = append(broken, fmt.Sprintf("%s names %s %s, which is not there", threatsPage, m[1], m[2]))
			}
		}
		for _, part := range threatened {
			if cells := strings.Split(row, "|"); len(cells) > 2 && strings.Contains(cells[1], part) && len(named) > 0 {
				rows[part] = true
			}
		}
	}
	for _, part := range threatened {
		if !rows[part] {
			broken = append(broken, fmt.Sprintf("%s: no row of the %s names a test", threatsPage, part))
		}
	}
	return broken
}

func TestThreatLaw(t *testing.T) { holds(t, threatLaw) }

func TestThreatLawCatches(t *testing.T) {
	page := ""
	for _, part := range threatened {
		page += "| the " + part + " | gains | `a TestA` |\n"
	}
	clean := tree{threatsPage: page, "a/a_test.go": "package a\nfunc TestA() {}"}
	catches(t, threatLaw, clean, tree{threatsPage: page + "`a TestB`"}, "names a TestB, which is not there")
	catches(t, threatLaw, clean, tree{"a/a_test.go": "package a\nfunc TestC() {}"}, "names a TestA, which is not there")
	catches(t, threatLaw, clean, tree{threatsPage: strings.Replace(page, "relay | gains | `a TestA`", "relay | gains | nothing", 1)}, "no row of the relay names a test")
}
