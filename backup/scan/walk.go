package scan

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Walker walks one root.
type Walker struct {
	// Exclude holds patterns of path.Match: one without a slash is held
	// against each name, one with a slash against the path below the root.
	Exclude []string
	// Skip holds full paths that are left out with all below them.
	Skip []string
	// Found gets every node, a folder before what is in it, names of a
	// folder in ascending order. Its error stops the walk.
	Found func(Node) error
	// Warn gets every path that could not be looked at or is of a kind that
	// is not backed up (sockets, devices, pipes).
	Warn func(Warning)
}

// CheckPatterns says which pattern is malformed.
func CheckPatterns(patterns []string) error {
	for _, p := range patterns {
		if _, err := filepath.Match(p, "x"); err != nil {
			return fmt.Errorf("exclude pattern %q: %w", p, err)
		}
	}
	return nil
}

// Walk looks at root and all below it. A root that is a symbolic link is
// followed, since the user named it; links below are nodes of their own.
// It fails only if root itself is not there, or with ctx.
func (w *Walker) Walk(ctx context.Context, root string) error {
	full, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	return w.visit(ctx, full, "", info)
}

func (w *Walker) visit(ctx context.Context, full, rel string, info fs.FileInfo) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n := Node{Full: full, Rel: rel, Mode: unixMode(info.Mode()), Stat: StatOf(info)}
	switch info.Mode().Type() {
	case fs.ModeDir:
		n.Kind, n.Size = KindDir, 0
		if err := w.Found(n); err != nil {
			return err
		}
		return w.folder(ctx, full, rel)
	case 0:
		n.Kind = KindFile
	case fs.ModeSymlink:
		target, err := os.Readlink(full)
		if err != nil {
			w.warn(full, err)
			return nil
		}
		n.Kind, n.Link, n.Size = KindLink, target, 0
	default:
		w.Warn(Warning{full, "left out: a " + kindName(info.Mode())})
		return nil
	}
	return w.Found(n)
}

func (w *Walker) folder(ctx context.Context, full, rel string) error {
	entries, err := os.ReadDir(full)
	if err != nil {
		w.warn(full, err) // what could be listed is still visited
	}
	for _, e := range entries {
		below := e.Name()
		if rel != "" {
			below = rel + "/" + e.Name()
		}
		path := filepath.Join(full, e.Name())
		if w.excluded(path, below, e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			w.warn(path, err)
			continue
		}
		if err := w.visit(ctx, path, below, info); err != nil {
			return err
		}
	}
	return nil
}

// PartPrefix and PartSuffix enclose the names of files that a restore has not
// finished. They are never backed up.
const (
	PartPrefix = ".strongroom-"
	PartSuffix = ".part"
)

func (w *Walker) excluded(full, rel, name string) bool {
	if strings.HasPrefix(name, PartPrefix) && strings.HasSuffix(name, PartSuffix) {
		return true
	}
	for _, s := range w.Skip {
		if s == full {
			return true
		}
	}
	for _, p := range w.Exclude {
		subject := name
		if strings.Contains(p, "/") {
			subject = rel
		}
		if ok, _ := filepath.Match(p, subject); ok {
			return true
		}
	}
	return false
}

// warn says why a path could not be looked at. One that was deleted since
// its folder was listed is not worth a word.
func (w *Walker) warn(path string, err error) {
	if os.IsNotExist(err) {
		return
	}
	w.Warn(Warning{path, "left out: " + err.Error()})
}

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "file of an unknown kind"
}
