package scan

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// ErrPattern: a pattern is malformed.
var ErrPattern = errors.New("malformed pattern")

// Patterns choose paths below a root, by the rules of gitignore(5): a pattern
// without a slash, but for one at its end, is held against every name; one
// with a slash against the path below the root; "*" and "?" stop at slashes,
// "**" does not; one that ends in a slash is for folders only; "!" takes a
// choice back; the last pattern that matches decides. What begins with the
// full path of the root counts from there.
type Patterns []string

type rule struct {
	glob     string
	names    bool // against the last part alone
	folders  bool
	takeBack bool
}

// ParsePatterns proves that each can be read; the error names the first that
// can not.
func ParsePatterns(texts []string) (Patterns, error) {
	for _, text := range texts {
		r := parseRule(text, "")
		if r.glob == "" || !doublestar.ValidatePattern(r.glob) {
			return nil, fmt.Errorf("%w: %q", ErrPattern, text)
		}
	}
	return texts, nil
}

func parseRule(text, root string) (r rule) {
	text, r.takeBack = strings.CutPrefix(text, "!")
	if root != "" {
		if below, ok := strings.CutPrefix(text, strings.TrimSuffix(root, "/")+"/"); ok {
			text = "/" + below
		}
	}
	text, r.folders = strings.CutSuffix(text, "/")
	r.names = !strings.Contains(text, "/")
	r.glob = strings.TrimPrefix(text, "/")
	return r
}

// Choice is Patterns for one root.
type Choice struct{ rules []rule }

// Under gives the choice for a root, whose full path may be empty.
func (p Patterns) Under(root string) Choice {
	c := Choice{}
	for _, text := range p {
		c.rules = append(c.rules, parseRule(text, root))
	}
	return c
}

// Chosen tells whether a path below the root is chosen itself; folders above
// it are not looked at.
func (c Choice) Chosen(rel string, folder bool) bool {
	for i := len(c.rules) - 1; i >= 0; i-- {
		r := c.rules[i]
		if r.folders && !folder {
			continue
		}
		subject := rel
		if r.names {
			subject = path.Base(rel)
		}
		if doublestar.MatchUnvalidated(r.glob, subject) {
			return !r.takeBack
		}
	}
	return false
}

// ChosenWithin tells whether a path or any folder above it is chosen.
func (c Choice) ChosenWithin(rel string, folder bool) bool {
	if c.Chosen(rel, folder) {
		return true
	}
	for above := path.Dir(rel); above != "."; above = path.Dir(above) {
		if c.Chosen(above, true) {
			return true
		}
	}
	return false
}
