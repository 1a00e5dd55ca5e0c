package backup

import (
	"context"
	"errors"
	"os"
	"sync"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
)

// patched is the pages of a database that the repository has as differences.
// One of them can not be had without many others, so all are made when the
// first is asked for, in a file that nobody else can open.
type patched struct {
	cache  *segmentCache
	bytes  int
	groups [][]*chunk.Group // by level: the differences, and what they lean on
	place  map[uint32]int64 // of each page that is a difference, in file

	mu   sync.Mutex
	file *os.File // guarded by mu; nil until it is whole
}

// newPatched gives nil for a database without differences.
func newPatched(cache *segmentCache, image *chunk.Image) *patched {
	p := &patched{cache: cache, bytes: int(image.PageBytes), place: map[uint32]int64{}}
	_ = image.Groups(func(g chunk.Group) error { // fails as the function does, which does not
		for len(p.groups) <= g.Level {
			p.groups = append(p.groups, nil)
		}
		if g.Bases != nil || g.Keep != nil {
			p.groups[g.Level] = append(p.groups[g.Level], &g)
		}
		for i, number := range g.Pages {
			if g.Bases != nil && g.Live[i] {
				p.place[number] = int64(len(p.place))
			}
		}
		return nil
	})
	if len(p.place) == 0 {
		return nil
	}
	return p
}

// page gives a page that is a difference.
func (p *patched) page(ctx context.Context, number uint32) ([]byte, error) {
	f, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	b := make([]byte, p.bytes)
	_, err = f.ReadAt(b, p.place[number]*int64(p.bytes))
	return b, err
}

func (p *patched) open(ctx context.Context) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		return p.file, nil
	}
	f, err := p.make(ctx)
	if errors.Is(err, pack.ErrDamaged) || errors.Is(err, pack.ErrUnknownSegment) { // a prune may have moved something
		if err := p.cache.reload(ctx); err != nil {
			return nil, err
		}
		f, err = p.make(ctx)
	}
	p.file = f
	return f, err
}

// make makes all pages.
func (p *patched) make(ctx context.Context) (f *os.File, err error) {
	kept, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	defer kept.Close()
	if f, err = unnamedFile(); err != nil {
		return nil, err
	}
	patch := &patcher{repo: p.cache.repo, bytes: p.bytes, kept: kept}
	for _, level := range p.groups {
		uses := map[pack.ID][]*chunk.Group{}
		var ids []pack.ID
		for _, g := range level {
			uses[g.ID], ids = append(uses[g.ID], g), append(ids, g.ID)
		}
		if err := p.cache.repo.ReadAll(ctx, ids, func(id pack.ID, plain []byte) error {
			for _, g := range uses[id] {
				if err := p.write(patch, f, g, plain); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

func (p *patched) write(patch *patcher, f *os.File, g *chunk.Group, plain []byte) error {
	pages, err := patch.pages(g, plain)
	for i, number := range g.Pages {
		if err == nil && g.Bases != nil && g.Live[i] {
			_, err = f.WriteAt(pages[i*p.bytes:(i+1)*p.bytes], p.place[number]*int64(p.bytes))
		}
	}
	return err
}

// unnamedFile is a temporary file that goes with the process.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "strongroom-*")
	if err == nil {
		os.Remove(f.Name())
	}
	return f, err
}
