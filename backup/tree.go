package backup

import (
	"context"
	"fmt"
	"io"
	"strings"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// Tree is a whole snapshot, to be walked and read at will. Its memory is that
// of its names. Safe for many goroutines.
type Tree struct {
	Info SnapshotInfo
	Root *Node

	r     *Repository
	cache *segmentCache
}

// Node is one thing in a Tree.
type Node struct {
	Thing
	Name     string
	Children []*Node // of a folder, in order
	Same     uint64  // not 0: files with this number are one file with several names
	entry    *pack.Entry
}

// Trees opens snapshots that share one cache of decrypted segments, of at
// most so many bytes.
func (r *Repository) Trees(cacheBytes int64) *Trees {
	return &Trees{r: r, cache: newSegmentCache(r.pack, cacheBytes)}
}

// Trees opens snapshots as trees. Safe for many goroutines.
type Trees struct {
	r     *Repository
	cache *segmentCache
}

// Open reads the lists of a snapshot ("latest", an id or the beginning of
// one). What is damaged is in the error, and everything else in the tree, if
// there is one.
func (ts *Trees) Open(ctx context.Context, snapshot string) (*Tree, error) {
	m, err := ts.r.open(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	t := &Tree{Info: info(m), Root: &Node{Thing: Thing{Kind: KindFolder, Mode: 0o755, ModTime: info(m).Time}}, r: ts.r, cache: ts.cache}
	folders := map[string]*Node{"": t.Root}
	names := rootNames(m.Roots)
	err = ts.r.pack.Entries(ctx, m, func(e *pack.Entry) error {
		n := &Node{Thing: thingOf(names, e), Same: e.Same, entry: e}
		t.hang(folders, n)
		return ctx.Err()
	})
	if err != nil && !lasting(err) {
		return nil, err
	}
	return t, err
}

// hang puts a node into its folder. A folder whose own entry is lost is made.
func (t *Tree) hang(folders map[string]*Node, n *Node) {
	above, name := "", n.Path
	if i := strings.LastIndexByte(n.Path, '/'); i >= 0 {
		above, name = n.Path[:i], n.Path[i+1:]
	}
	n.Name = name
	in := folders[above]
	if in == nil {
		in = &Node{Thing: Thing{Path: above, Kind: KindFolder, Mode: 0o755, ModTime: t.Info.Time}}
		t.hang(folders, in)
	}
	if n.Kind == KindFolder {
		folders[n.Path] = n
	}
	in.Children = append(in.Children, n)
}

// File reads a file or a database of a tree, as a restore would write it.
type File struct {
	size  int64
	cache *segmentCache
	ids   []pack.ID // of a file, chunk.FileBytes each
	pages *pageMap  // of a database
}

// pageMap says where each page of a database lies.
type pageMap struct {
	bytes  int64
	groups []pack.ID
	group  []uint32 // of each page, 1 more than its place in groups; 0: zeros
	place  []uint32 // in the group, pages

	patched *patched // of the pages whose group is inPatched; nil if there are none
}

const inPatched = 1<<32 - 1

// File opens a file or database for reading; nothing needs to be closed.
func (t *Tree) File(ctx context.Context, n *Node) (*File, error) {
	f := &File{size: n.Size, cache: t.cache}
	var err error
	switch {
	case n.entry == nil || n.entry.Content == nil && n.entry.Database == nil:
		return nil, fmt.Errorf("%w: %s is no file", ErrPath, n.Path)
	case n.entry.Content != nil:
		f.ids, err = t.r.pack.IDs(ctx, *n.entry.Content)
	default:
		f.pages, err = t.r.pageMap(ctx, n.entry.Database, t.cache)
	}
	return f, err
}

func (r *Repository) pageMap(ctx context.Context, d *pack.Database, cache *segmentCache) (*pageMap, error) {
	image, err := r.image(ctx, d)
	if err != nil {
		return nil, err
	}
	if !image.Whole() {
		return nil, chunk.ErrImage
	}
	p := &pageMap{bytes: int64(d.PageBytes), group: make([]uint32, d.Pages), place: make([]uint32, d.Pages), patched: newPatched(cache, image)}
	return p, image.Groups(func(g chunk.Group) error {
		p.groups = append(p.groups, g.ID)
		for i, page := range g.Pages {
			switch {
			case !g.Live[i]:
			case g.Bases != nil:
				p.group[page-1] = inPatched
			default:
				p.group[page-1], p.place[page-1] = uint32(len(p.groups)), uint32(i)
			}
		}
		return nil
	})
}

// Size is the file's size in bytes.
func (f *File) Size() int64 { return f.size }

// ReadAt reads as io.ReaderAt does, in memory of one segment at a time beside
// the cache.
func (f *File) ReadAt(ctx context.Context, b []byte, offset int64) (n int, err error) {
	for n < len(b) && offset+int64(n) < f.size {
		part, err := f.at(ctx, offset+int64(n))
		if err != nil {
			return n, err
		}
		part = part[:min(int64(len(part)), f.size-offset-int64(n))]
		if len(part) == 0 {
			return n, fmt.Errorf("%w: its parts are shorter than the file", pack.ErrMalformed)
		}
		n += copy(b[n:], part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// at gives some bytes from offset on.
func (f *File) at(ctx context.Context, offset int64) ([]byte, error) {
	if f.pages == nil {
		i := offset / chunk.FileBytes
		if i >= int64(len(f.ids)) {
			return nil, nil
		}
		segment, err := f.cache.get(ctx, f.ids[i])
		return after(segment, offset%chunk.FileBytes), err
	}
	page, within := offset/f.pages.bytes, offset%f.pages.bytes
	if page >= int64(len(f.pages.group)) {
		return nil, nil
	}
	switch f.pages.group[page] {
	case 0: // SQLite's lock page
		return make([]byte, f.pages.bytes-within), nil
	case inPatched:
		b, err := f.pages.patched.page(ctx, uint32(page)+1)
		return after(b, within), err
	}
	segment, err := f.cache.get(ctx, f.pages.groups[f.pages.group[page]-1])
	whole := after(segment, int64(f.pages.place[page])*f.pages.bytes)
	return after(whole[:min(int64(len(whole)), f.pages.bytes)], within), err
}

func after(b []byte, n int64) []byte { return b[min(n, int64(len(b))):] }
