package backup

import (
	"errors"
	"fmt"
	"os"

	"strongroom/backup/chunk"
	"strongroom/backup/pack"
	"strongroom/backup/seal"
)

// errPage: a group of a database holds a page that its hash does not know.
var errPage = errors.New("backup: a page is not the one that was backed up")

// patcher makes pages of a database's groups, level after level. What others
// lean on it keeps in a file, so that it never holds more than a group.
type patcher struct {
	repo  *pack.Repo
	bytes int      // of a page
	kept  *os.File // by chunk.Group.Keep; nil where nothing leans on anything
}

// pages gives the pages of a group, of which those that are live or kept are
// proved against their hashes.
func (p *patcher) pages(g *chunk.Group, plain []byte) ([]byte, error) {
	if g.Bases != nil {
		var err error
		if plain, err = p.patch(g, plain); err != nil {
			return nil, err
		}
	}
	if len(plain) != p.bytes*len(g.Pages) {
		return nil, errPage
	}
	for i, number := range g.Pages {
		page := plain[i*p.bytes : (i+1)*p.bytes]
		keep := g.Keep != nil && g.Keep[i] >= 0
		if (keep || g.Live[i]) && p.repo.PageHash(page) != g.Hashes[i] {
			return nil, fmt.Errorf("%w: page %d", errPage, number)
		}
		if !keep {
			continue
		}
		if _, err := p.kept.WriteAt(page, int64(g.Keep[i])*int64(p.bytes)); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

func (p *patcher) patch(g *chunk.Group, d []byte) ([]byte, error) {
	base := make([]byte, len(g.Bases)*p.bytes)
	for i, at := range g.Bases {
		if _, err := p.kept.ReadAt(base[i*p.bytes:(i+1)*p.bytes], int64(at)*int64(p.bytes)); err != nil {
			return nil, err
		}
	}
	plain, err := seal.Patch(base, d, len(g.Pages)*p.bytes)
	if errors.Is(err, seal.ErrStored) {
		err = fmt.Errorf("%w: pages from %d on", errPage, g.Pages[0])
	}
	return plain, err
}
