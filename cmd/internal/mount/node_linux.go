package mount

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"strongroom/backup"
)

// rootNode holds a folder for each machine. They are all made when it is
// mounted; what is in a snapshot is read when somebody looks into it.
type rootNode struct {
	madeNode
	shelves []shelf
	trees   *backup.Trees
	note    func(string)
}

// madeNode is a folder that is in no snapshot.
type madeNode struct{ fs.Inode }

// Getattr says that it can be read.
func (*madeNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = out.Mode&syscall.S_IFMT | 0o755
	return 0
}

func link(to string) fs.InodeEmbedder {
	return &fs.MemSymlink{Data: []byte(to), Attr: fuse.Attr{Mode: 0o777, Size: uint64(len(to))}}
}

var _ fs.NodeOnAdder = (*rootNode)(nil)

// OnAdd makes the folders of machines and times.
func (r *rootNode) OnAdd(ctx context.Context) {
	newest, newestPath := backup.SnapshotInfo{}, ""
	for _, s := range r.shelves {
		shelf := r.NewPersistentInode(ctx, &madeNode{}, fs.StableAttr{Mode: syscall.S_IFDIR})
		r.AddChild(s.name, shelf, false)
		for _, v := range s.folders {
			lazy := &lazyTree{trees: r.trees, id: v.info.ID, note: r.note}
			shelf.AddChild(v.name, r.NewPersistentInode(ctx, &folderNode{lazy: lazy, when: backup.Thing{Mode: 0o755, ModTime: v.info.Time}}, fs.StableAttr{Mode: syscall.S_IFDIR}), false)
			if v.info.Time.After(newest.Time) {
				newest, newestPath = v.info, s.name+"/"+v.name
			}
		}
		last := s.folders[len(s.folders)-1].name
		shelf.AddChild(latestName, r.NewPersistentInode(ctx, link(last), fs.StableAttr{Mode: syscall.S_IFLNK}), false)
	}
	if newestPath != "" {
		r.AddChild(latestName, r.NewPersistentInode(ctx, link(newestPath), fs.StableAttr{Mode: syscall.S_IFLNK}), false)
	}
}

// lazyTree reads a snapshot's lists when they are first needed.
type lazyTree struct {
	trees *backup.Trees
	id    string
	note  func(string)

	mu   sync.Mutex
	tree *backup.Tree // guarded by mu
}

func (l *lazyTree) get(ctx context.Context) (*backup.Tree, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tree != nil {
		return l.tree, nil
	}
	// Not by ctx: the kernel interrupts a caller, and the next would begin anew.
	tree, err := l.trees.Open(context.WithoutCancel(ctx), l.id)
	if err != nil {
		l.note("backup " + l.id + ": " + err.Error())
	}
	if tree == nil {
		return nil, err
	}
	l.tree = tree
	return tree, nil
}

// folderNode is a folder in a snapshot, or the snapshot itself.
type folderNode struct {
	fs.Inode
	lazy *lazyTree
	node *backup.Node // nil: the top
	when backup.Thing

	once   sync.Once
	byName map[string]*backup.Node
}

var (
	_ fs.NodeLookuper  = (*folderNode)(nil)
	_ fs.NodeReaddirer = (*folderNode)(nil)
	_ fs.NodeGetattrer = (*folderNode)(nil)
)

func (f *folderNode) children(ctx context.Context) ([]*backup.Node, error) {
	node := f.node
	if node == nil {
		tree, err := f.lazy.get(ctx)
		if err != nil {
			return nil, err
		}
		node = tree.Root
	}
	return node.Children, nil
}

// Lookup finds a name.
func (f *folderNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	children, err := f.children(ctx)
	if err != nil {
		return nil, syscall.EIO
	}
	f.once.Do(func() {
		f.byName = make(map[string]*backup.Node, len(children))
		for _, c := range children {
			f.byName[c.Name] = c
		}
	})
	c := f.byName[name]
	if c == nil {
		return nil, syscall.ENOENT
	}
	setAttr(&out.Attr, c.Thing)
	return f.NewInode(ctx, f.inode(c), fs.StableAttr{Mode: typeOf(c.Thing)}), 0
}

func (f *folderNode) inode(c *backup.Node) fs.InodeEmbedder {
	switch c.Kind {
	case backup.KindFolder:
		return &folderNode{lazy: f.lazy, node: c, when: c.Thing}
	case backup.KindLink:
		return &fs.MemSymlink{Data: []byte(c.Link), Attr: attrOf(c.Thing)}
	}
	return &fileNode{lazy: f.lazy, node: c}
}

// Readdir lists the folder.
func (f *folderNode) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	children, err := f.children(ctx)
	if err != nil {
		return nil, syscall.EIO
	}
	list := make([]fuse.DirEntry, len(children))
	for i, c := range children {
		list[i] = fuse.DirEntry{Name: c.Name, Mode: typeOf(c.Thing)}
	}
	return fs.NewListDirStream(list), 0
}

// Getattr tells mode and time.
func (f *folderNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	setAttr(&out.Attr, f.when)
	return 0
}

// fileNode is a file or a database.
type fileNode struct {
	fs.Inode
	lazy *lazyTree
	node *backup.Node
}

var (
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
	_ fs.NodeGetattrer = (*fileNode)(nil)
)

// openFile is a file that somebody has open.
type openFile struct{ file *backup.File }

// Open finds the file's parts.
func (f *fileNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0 {
		return nil, 0, syscall.EROFS
	}
	tree, err := f.lazy.get(ctx)
	if err != nil {
		return nil, 0, syscall.EIO
	}
	file, err := tree.File(ctx, f.node)
	if err != nil {
		return nil, 0, f.fault(ctx, err)
	}
	return &openFile{file}, fuse.FOPEN_KEEP_CACHE, 0
}

// Read reads a part of the file.
func (f *fileNode) Read(ctx context.Context, h fs.FileHandle, dest []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.(*openFile).file.ReadAt(ctx, dest, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.fault(ctx, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// fault says on the side what can not be read; the reader gets EIO, never
// wrong bytes.
func (f *fileNode) fault(ctx context.Context, err error) syscall.Errno {
	if ctx.Err() != nil {
		return syscall.EINTR
	}
	f.lazy.note(f.node.Path + ": " + err.Error())
	return syscall.EIO
}

// Getattr tells mode, time and size.
func (f *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	setAttr(&out.Attr, f.node.Thing)
	return 0
}

func typeOf(t backup.Thing) uint32 {
	switch t.Kind {
	case backup.KindFolder:
		return syscall.S_IFDIR
	case backup.KindLink:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

func setAttr(to *fuse.Attr, t backup.Thing) {
	to.Mode = to.Mode&syscall.S_IFMT | uint32(t.Mode.Perm())
	to.Size = uint64(t.Size)
	if t.Kind == backup.KindLink {
		to.Size = uint64(len(t.Link))
	}
	to.Blocks, to.Nlink, to.Blksize = (to.Size+511)/512, 1, 1<<20
	sec, nano := uint64(t.ModTime.Unix()), uint32(t.ModTime.Nanosecond())
	to.Mtime, to.Mtimensec, to.Ctime, to.Ctimensec, to.Atime, to.Atimensec = sec, nano, sec, nano, sec, nano
}

func attrOf(t backup.Thing) (out fuse.Attr) {
	setAttr(&out, t)
	return out
}
