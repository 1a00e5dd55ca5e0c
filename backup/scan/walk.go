package scan

import (
	"context"
	"errors"
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
	// Found gets every node in ascending order of Rel, bytewise: the order of
	// a snapshot's lists, in which "a-b" stands between "a" and "a/b". Its error
	// stops the walk, whose memory is the names of the folders that it is in.
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
	within, err := w.visit(full, "", info)
	if err == nil && within {
		err = w.folder(ctx, full, "")
	}
	return err
}

// visit tells of one node, and whether it is a folder to be looked into.
func (w *Walker) visit(full, rel string, info fs.FileInfo) (within bool, err error) {
	n := Node{Full: full, Rel: rel, Mode: unixMode(info.Mode()), Stat: StatOf(info)}
	switch info.Mode().Type() {
	case fs.ModeDir:
		n.Kind, n.Size = KindDir, 0
		within = !w.OneFileSystem || n.Device == w.device
		if !within {
			w.LeftOut++
		}
	case 0:
		if n.Kind = KindFile; w.BytesMax > 0 && n.Size > w.BytesMax {
			w.LeftOut++
			return false, nil
		}
		n.Links, n.Sparse = linksOf(info), Sparse(info)
	case fs.ModeSymlink:
		target, err := os.Readlink(full)
		if err != nil {
			w.warn(full, err)
			return false, nil
		}
		n.Kind, n.Link, n.Size = KindLink, target, 0
	default:
		w.Warn(Warning{full, "left out: a " + kindName(info.Mode())})
		return false, nil
	}
	return within, w.Found(n)
}

// folder tells of what is in a folder. What is in one of its folders comes
// where that name with a slash behind it would stand: after "a-b" for "a". At
// most as many wait for that as names begin with each other.
func (w *Walker) folder(ctx context.Context, full, rel string) error {
	all, err := names(full)
	if err != nil {
		w.warn(full, err) // what could be listed is still visited
	}
	cache := w.Caches && isCache(full, all)
	var waiting []string
	for i := 0; i < len(all) || len(waiting) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if last := len(waiting) - 1; last >= 0 && (i == len(all) || waiting[last]+"/" < all[i].name) {
			path, below := inside(full, rel, waiting[last])
			waiting = waiting[:last]
			if err := w.folder(ctx, path, below); err != nil {
				return err
			}
			continue
		}
		e := all[i]
		i++
		if cache && e.name != cacheTag {
			w.LeftOut++
			continue
		}
		within, err := w.look(full, rel, e)
		if err != nil {
			return err
		}
		if within {
			waiting = append(waiting, e.name)
		}
	}
	return nil
}

// look looks at one name in a folder.
func (w *Walker) look(full, rel string, e named) (within bool, err error) {
	path, below := inside(full, rel, e.name)
	if w.excluded(path, below, e) {
		return false, nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		w.warn(path, err)
		return false, nil
	}
	return w.visit(path, below, info)
}

// inside gives the path of a name in a folder, and that below the root.
func inside(full, rel, name string) (path, below string) {
	below = name
	if rel != "" {
		below = rel + "/" + name
	}
	path = filepath.Join(full, name)
	if filepath.Separator == '/' {
		below = path[len(path)-len(below):] // one string in memory, not two
	}
	return path, below
}

// named is one name in a folder: a folder may hold a million.
type named struct {
	name string
	kind fs.FileMode // its type bits
}

// namesAtOnce is how many are read from the system at a time.
const namesAtOnce = 1 << 10

// names lists a folder in ascending order, as far as it can be listed.
func names(folder string) (out []named, err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for err == nil {
		var some []fs.DirEntry
		some, err = f.ReadDir(namesAtOnce)
		for _, e := range some {
			out = append(out, named{e.Name(), e.Type()})
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return out, err
}

// PartPrefix and PartSuffix enclose the names of files that a restore has not
// finished. They are never backed up.
const (
	PartPrefix = ".strongroom-"
	PartSuffix = ".part"
)

func (w *Walker) excluded(full, rel string, e named) bool {
	if strings.HasPrefix(e.name, PartPrefix) && strings.HasSuffix(e.name, PartSuffix) {
		return true
	}
	if slices.Contains(w.Skip, full) {
		return true
	}
	if w.choice.Chosen(rel, e.kind.IsDir()) {
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
func isCache(folder string, all []named) bool {
	if !slices.ContainsFunc(all, func(e named) bool { return e.name == cacheTag && e.kind.IsRegular() }) {
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
