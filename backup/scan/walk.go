package scan

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Walker walks one root.
type Walker struct {
	// Exclude chooses what is left out; a folder with all below it.
	Exclude Patterns
	// Caches leaves out what is in a folder with a CACHEDIR.TAG
	// (bford.info/cachedir), but for the tag.
	Caches bool
	// BytesMax leaves out larger files; 0 none.
	BytesMax int64
	// OneFileSystem leaves out what is in folders of another file system than
	// the root's, where the system tells.
	OneFileSystem bool
	// Skip holds full paths that are left out with all below them.
	Skip []string
	// Found gets every node, a folder before what is in it, names of a
	// folder in ascending order. Its error stops the walk.
	Found func(Node) error
	// Warn gets every path that could not be looked at or is of a kind that
	// is not backed up (sockets, devices, pipes).
	Warn func(Warning)
	// LeftOut counts what was left out as asked for: a folder once.
	LeftOut int

	choice Choice
	device uint64
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
	w.choice, w.device = w.Exclude.Under(full), StatOf(info).Device
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
		if w.OneFileSystem && n.Device != w.device {
			w.LeftOut++
			return nil
		}
		return w.folder(ctx, full, rel)
	case 0:
		if n.Kind = KindFile; w.BytesMax > 0 && n.Size > w.BytesMax {
			w.LeftOut++
			return nil
		}
		n.Links, n.Sparse = linksOf(info), Sparse(info)
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
	cache := w.Caches && isCache(full, entries)
	for _, e := range entries {
		if cache && e.Name() != cacheTag {
			w.LeftOut++
			continue
		}
		below := e.Name()
		if rel != "" {
			below = rel + "/" + e.Name()
		}
		path := filepath.Join(full, e.Name())
		if filepath.Separator == '/' {
			below = path[len(path)-len(below):] // one string in memory, not two
		}
		if w.excluded(path, below, e) {
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

func (w *Walker) excluded(full, rel string, e fs.DirEntry) bool {
	if name := e.Name(); strings.HasPrefix(name, PartPrefix) && strings.HasSuffix(name, PartSuffix) {
		return true
	}
	if slices.Contains(w.Skip, full) {
		return true
	}
	if w.choice.Chosen(rel, e.IsDir()) {
		w.LeftOut++
		return true
	}
	return false
}

// The tag of a folder that holds a cache, and how the tag begins.
const (
	cacheTag       = "CACHEDIR.TAG"
	cacheSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

// isCache tells whether a folder's owner marked it as a cache. A file that has
// the tag's name alone marks nothing.
func isCache(folder string, entries []fs.DirEntry) bool {
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == cacheTag && e.Type().IsRegular() }) {
		return false
	}
	f, err := os.OpenFile(filepath.Join(folder, cacheTag), os.O_RDONLY|openPlainly, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(cacheSignature))
	_, err = io.ReadFull(f, b)
	return err == nil && string(b) == cacheSignature
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
