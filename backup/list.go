package backup

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"time"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// Kinds of things in a snapshot.
const (
	KindFolder   = "folder"
	KindFile     = "file"
	KindLink     = "link"
	KindDatabase = "database"
)

// Thing is one thing in a snapshot.
type Thing struct {
	Path    string // as a restore puts it below its target
	Kind    string
	Mode    fs.FileMode // with its type
	ModTime time.Time
	Size    int64  // of files and databases
	Link    string // where a link leads
}

var kindNames = map[pack.EntryKind]string{
	pack.EntryDir: KindFolder, pack.EntryFile: KindFile, pack.EntrySymlink: KindLink, pack.EntryDatabase: KindDatabase,
}

func thingOf(names []string, e *pack.Entry) Thing {
	mode := scan.FileMode(e.Mode).Perm() | scan.FileMode(e.Mode)&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	switch e.Kind {
	case pack.EntryDir:
		mode |= fs.ModeDir
	case pack.EntrySymlink:
		mode |= fs.ModeSymlink
	}
	return Thing{Path: entryName(names, e), Kind: kindNames[e.Kind], Mode: mode, ModTime: time.Unix(0, e.ModNanos), Size: e.Size, Link: e.Link}
}

// List gives what a snapshot ("latest", an id or the beginning of one) holds
// at and below a path, in order; below "" is all of it. The path may be that of
// the device, or as Thing has it. An error of give ends it. What is damaged is
// in the error (ErrDamaged), after all else was given.
func (r *Repository) List(ctx context.Context, snapshot, below string, give func(Thing) error) (SnapshotInfo, error) {
	m, err := r.open(ctx, snapshot)
	if err != nil {
		return SnapshotInfo{}, err
	}
	names := rootNames(m.Roots)
	below = strings.Trim(path.Clean("/"+belowTarget(below, m.Roots, names)), "/")
	return info(m), r.pack.Entries(ctx, m, func(e *pack.Entry) error {
		t := thingOf(names, e)
		if below != "" && t.Path != below && !strings.HasPrefix(t.Path, below+"/") {
			return ctx.Err()
		}
		return give(t)
	})
}

// open loads the index and finds a snapshot.
func (r *Repository) open(ctx context.Context, snapshot string) (*pack.Manifest, error) {
	heads, damage, err := r.pack.LoadIndex(ctx)
	if err != nil {
		return nil, err
	}
	return r.find(ctx, snapshot, heads, damage)
}
