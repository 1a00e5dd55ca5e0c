package backup

import (
	"os"
	"path"
	"strings"

	"strongroom/backup/scan"
)

// present knows what lies in the target's folders, by one listing for each:
// to ask the system for every file of an empty target is a tenth of a restore.
// Names are asked for in the order of a snapshot's entries, in which all below
// a folder stands together, so that only a folder and those above it are held.
type present struct {
	root     *os.Root // nil: there is no target yet
	folds    bool     // the target takes Name for name: listings do not tell
	listings []listing
	parts    map[string]bool // unfinished files that no goal has asked for
}

type listing struct {
	folder string
	names  map[string]bool // nil: the folder is not there
}

// has tells whether there may be something called name, a file or a folder.
func (p *present) has(name string) (bool, error) {
	if p.root == nil {
		return false, nil
	}
	if p.folds {
		return true, nil
	}
	l, err := p.listing(path.Dir(name))
	return l.names[path.Base(name)], err
}

// hasPart is has for the unfinished file of a goal, which is then asked for.
func (p *present) hasPart(name string) (bool, error) {
	there, err := p.has(name)
	delete(p.parts, name)
	return there, err
}

func (p *present) listing(folder string) (listing, error) {
	for n := len(p.listings); n > 0; n-- {
		switch l := p.listings[n-1]; {
		case l.folder == folder:
			return l, nil
		case l.folder == "." || strings.HasPrefix(folder, l.folder+"/"):
			p.listings = p.listings[:n]
			return p.read(folder)
		}
	}
	p.listings = nil
	return p.read(folder)
}

// read lists a folder, if the one above it says that it is there.
func (p *present) read(folder string) (listing, error) {
	l := listing{folder: folder}
	if folder != "." {
		above, err := p.listing(path.Dir(folder))
		if err != nil {
			return l, err
		}
		if !above.names[path.Base(folder)] {
			p.listings = append(p.listings, l)
			return l, nil
		}
	}
	f, err := p.root.Open(folder)
	if err != nil && !os.IsNotExist(err) && !isNotDir(err) {
		return l, err
	}
	if err == nil {
		defer f.Close()
		names, err := f.Readdirnames(-1)
		if err != nil && !isNotDir(err) {
			return l, err
		}
		l.names = make(map[string]bool, len(names))
		for _, name := range names {
			l.names[name] = true
			if isPart(name) {
				p.parts[path.Join(folder, name)] = true
			}
		}
	}
	p.listings = append(p.listings, l)
	return l, nil
}

// isPart tells the names that restores give to what is not finished.
func isPart(name string) bool {
	return strings.HasPrefix(name, scan.PartPrefix) && strings.HasSuffix(name, scan.PartSuffix)
}
