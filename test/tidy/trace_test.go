package tidy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// traces belong to a machine, not to the house: folders of whoever wrote a
// file, and hosts of package registries, which each user's tools choose. Cut
// in two here, so that this file does not break its own law.
var traces = []string{
	"/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/tmp/" + "brief", "C:" + `\Us` + "ers",
	"proxy." + "golang.org", "sum." + "golang.org", "goproxy." + "io", "goproxy." + "cn", "registry." + "npmjs.org", "registry." + "yarnpkg.com", "pypi." + "org",
	"files." + "pythonhosted.org", "index." + "crates.io", "static." + "crates.io", "rubygems." + "org", "repo." + "maven.apache.org", "deb." + "debian.org",
}

func traceLaw(t tree) (broken []string) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		for _, trace := range traces {
			at := strings.Index(t[name], trace)
			if at >= 0 {
				broken = append(broken, fmt.Sprintf("%s:%d: holds %q", name, 1+strings.Count(t[name][:at], "\n"), trace))
			}
		}
	}
	return broken
}

func TestTraceLaw(t *testing.T) { holds(t, traceLaw) }

func TestTraceLawCatches(t *testing.T) {
	clean := tree{"README.md": "Install Go from https://go.dev/dl/. A network/work is fine."}
	for _, trace := range traces {
		catches(t, traceLaw, clean, tree{"a/b.txt": "one\ntwo " + trace + "x"}, "a/b.txt:2: holds")
	}
}
