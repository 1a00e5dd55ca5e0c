package backup

import (
	"os"
	"path/filepath"
	"strings"
)

// stateCursor gives what was seen below one root, to who asks in the order of
// the walk. It merges what the state has of that root, of one around it and of
// those within it, each of which is in order.
type stateCursor struct {
	from []*stateSource
}

// stateSource is one file of the state, as seen from a root.
type stateSource struct {
	r     *stateReader
	above string // the state's root is so far below the root asked for: "x/" or ""
	below string // or so far above
	next  *seen  // its path below the root asked for; nil at the end
}

// cursor opens what is remembered of a root. What can not be read or does not
// check is not remembered.
func (s *state) cursor(root string, step func()) *stateCursor {
	c := &stateCursor{}
	names, _ := filepath.Glob(filepath.Join(s.folder, statePrefix+"-*"))
	exact := filepath.Join(s.folder, stateFile(root))
	if _, err := os.Stat(exact); err == nil {
		names = []string{exact}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".new") {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		src := &stateSource{}
		if src.r, err = s.openStateReader(f, step); err != nil || !src.relate(root) {
			f.Close()
			continue
		}
		src.advance()
		c.from = append(c.from, src)
	}
	return c
}

// relate tells whether the state's root has to do with another one.
func (x *stateSource) relate(root string) bool {
	was := x.r.root
	if was == root {
		return true
	}
	if below, ok := strings.CutPrefix(was, strings.TrimSuffix(root, string(filepath.Separator))+string(filepath.Separator)); ok {
		x.above = filepath.ToSlash(below) + "/"
		return true
	}
	if below, ok := strings.CutPrefix(root, strings.TrimSuffix(was, string(filepath.Separator))+string(filepath.Separator)); ok {
		x.below = filepath.ToSlash(below) + "/"
		return true
	}
	return false
}

func (x *stateSource) advance() {
	for x.next = x.r.next(); x.next != nil; x.next = x.r.next() {
		if x.below == "" {
			x.next.Path = strings.TrimSuffix(x.above+x.next.Path, "/")
			return
		}
		if path, ok := strings.CutPrefix(x.next.Path+"/", x.below); ok {
			x.next.Path = strings.TrimSuffix(path, "/")
			return
		}
	}
}

// find gives what was seen at a path, nil for nothing. Each path asked for is
// behind the one before.
func (c *stateCursor) find(path string) (out *seen) {
	for _, x := range c.from {
		for x.next != nil && x.next.Path < path {
			x.advance()
		}
		if x.next != nil && x.next.Path == path {
			out = x.next
		}
	}
	return out
}

// before gives what was seen at paths before this one, and passes over the
// path itself.
func (c *stateCursor) before(path string, give func(*seen) error) error {
	for x := c.least(); x != nil && x.next.Path <= path; x = c.least() {
		at := x.next
		x.advance()
		if at.Path == path {
			continue
		}
		if err := give(at); err != nil {
			return err
		}
	}
	return nil
}

// rest gives all that was not yet given.
func (c *stateCursor) rest(give func(*seen) error) error {
	for x := c.least(); x != nil; x = c.least() {
		if err := give(x.next); err != nil {
			return err
		}
		x.advance()
	}
	return nil
}

// least is the source whose path comes next, nil at the end.
func (c *stateCursor) least() (first *stateSource) {
	for _, x := range c.from {
		if x.next != nil && (first == nil || x.next.Path < first.next.Path) {
			first = x
		}
	}
	return first
}

func (c *stateCursor) close() {
	for _, x := range c.from {
		x.r.close()
	}
}
