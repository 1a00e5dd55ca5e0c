package backup

import (
	"strings"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// choice is what of a snapshot is restored: all of it, or what patterns choose
// and the folders that lead there.
type choice struct {
	all    bool
	chosen scan.Choice
	above  []*goal // folders that are not chosen, each in the one before it
}

// newChoice reads patterns. Each names paths as a restore puts them below its
// target, or as the device that was backed up called them.
func newChoice(patterns, roots, names []string) (*choice, error) {
	var texts []string
	for _, p := range patterns {
		texts = append(texts, belowTarget(p, roots, names))
	}
	chosen, err := scan.ParsePatterns(texts)
	return &choice{all: len(patterns) == 0, chosen: chosen.Under("")}, err
}

// belowTarget turns a full path of the device, or a pattern below one, into
// one below the target.
func belowTarget(p string, roots, names []string) string {
	text, back := strings.CutPrefix(p, "!")
	for i, root := range roots {
		root = strings.TrimSuffix(root, "/")
		if below, ok := strings.CutPrefix(text, root); ok && root != "" && (below == "" || below[0] == '/') {
			text = "/" + names[i] + below
			break
		}
	}
	if back {
		text = "!" + text
	}
	return text
}

// take gives what of the snapshot is restored because of g, which comes after
// all that is before it in the snapshot's order.
func (c *choice) take(g *goal, name string) []*goal {
	if c.all {
		return []*goal{g}
	}
	for n := len(c.above); n > 0 && !strings.HasPrefix(name, c.above[n-1].source+"/"); n-- {
		c.above = c.above[:n-1]
	}
	folder := g.entry.Kind == pack.EntryDir
	if !c.chosen.ChosenWithin(name, folder) {
		if folder {
			g.source, g.around = name, true
			c.above = append(c.above, g)
		}
		return nil
	}
	out := append([]*goal(nil), c.above...)
	c.above = c.above[:0]
	return append(out, g)
}

// What a restore does, or would do, with one path.
const (
	Write   = "write"
	Replace = "replace"
	Keep    = "keep"    // it is there already, as in the backup
	Blocked = "blocked" // other content is in the way
	Lost    = "lost"    // it can not be read from the storage
)

// tellPlan tells what would be done.
func (j *restore) tellPlan() {
	for _, g := range j.goals {
		action := g.action()
		if folder := g.entry.Kind == pack.EntryDir; j.opt.Plan != nil && !(folder && (action == Keep || g.around)) {
			j.opt.Plan(g.name, action, g.entry.Size)
		}
		if g.entry.Kind == pack.EntryDir {
			continue
		}
		switch action {
		case Keep:
			j.report.FilesKept++
		case Write, Replace:
			if g.entry.Kind != pack.EntrySymlink {
				j.report.Files++
				j.report.Bytes += g.entry.Size
			}
			if g.entry.Kind == pack.EntryDatabase {
				j.report.Databases++
			}
		case Blocked:
			j.report.Blocked++
		}
	}
}

func (g *goal) action() string {
	switch {
	case g.lost:
		return Lost
	case g.kept:
		return Keep
	case g.blocked:
		return Blocked
	case g.inWay:
		return Replace
	}
	return Write
}
