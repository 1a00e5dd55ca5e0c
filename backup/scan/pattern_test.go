package scan

import (
	"errors"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	const folder, file = true, false
	for _, c := range []struct {
		patterns string
		rel      string
		folder   bool
		want     bool
	}{
		{"*.tmp", "a.tmp", file, true},
		{"*.tmp", "deep/er/a.tmp", file, true},
		{"*.tmp", "a.tmp/b", file, false}, // its folder is chosen, not it
		{"/cache", "cache", folder, true},
		{"/cache", "a/cache", folder, false},
		{"cache/", "a/cache", folder, true},
		{"cache/", "a/cache", file, false},
		{"a/*", "a/b", file, true},
		{"a/*", "a/b/c", file, false},
		{"a/*", "x/a/b", file, false},
		{"a/**", "a/b/c", file, true},
		{"**/thumbs/*.jpg", "x/y/thumbs/1.jpg", file, true},
		{"**/thumbs/*.jpg", "thumbs/1.jpg", file, true},
		{"a/**/z", "a/z", file, true},
		{"a/**/z", "a/b/c/z", file, true},
		{"*.log\n!keep.log", "x/keep.log", file, false},
		{"*.log\n!keep.log", "x/lose.log", file, true},
		{"!keep.log\n*.log", "x/keep.log", file, true}, // the last decides
		{"[a-c]?.txt", "b1.txt", file, true},
		{"[a-c]?.txt", "d1.txt", file, false},
		{"{one,two}", "two", file, true},
		{"/srv/anna/media/x", "x", file, true}, // its root is /srv/anna/media
		{"!/srv/anna/media/x", "x", file, false},
		{"nl\\?x", "nl?x", file, true},
		{"\xff*", "\xff\xfe", file, true},
	} {
		p, err := ParsePatterns(strings.Split(c.patterns, "\n"))
		must(t, err)
		if got := p.Under("/srv/anna/media").Chosen(c.rel, c.folder); got != c.want {
			t.Errorf("%q of %q, folder %v: %v", c.patterns, c.rel, c.folder, got)
		}
	}
	for _, bad := range []string{"[", "", "/", "!", "a/[b", "{x"} {
		if _, err := ParsePatterns([]string{bad}); !errors.Is(err, ErrPattern) {
			t.Errorf("%q passes: %v", bad, err)
		}
	}
	p := Patterns{"media/", "*.db"}.Under("")
	for rel, want := range map[string]bool{"media/a/b": true, "x/media/b": true, "m.db": true, "other/b": false} {
		if got := p.ChosenWithin(rel, file); got != want {
			t.Errorf("%q: %v", rel, got)
		}
	}
}
