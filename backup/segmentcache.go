package backup

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"strongroom/backup/pack"
)

// segmentCache keeps decrypted segments, the ones used last, and reads each
// once however many ask for it at the same time.
type segmentCache struct {
	repo *pack.Repo
	most int64 // bytes

	mu     sync.Mutex
	bytes  int64                     // guarded by mu
	used   *list.List                // guarded by mu: *cachedSegment, the last used first
	byID   map[pack.ID]*list.Element // guarded by mu
	loadMu sync.Mutex                // one reload of the index at a time
}

type cachedSegment struct {
	id    pack.ID
	ready chan struct{} // closed once plain or err is set
	plain []byte
	err   error
}

func newSegmentCache(repo *pack.Repo, most int64) *segmentCache {
	return &segmentCache{repo: repo, most: most, used: list.New(), byID: map[pack.ID]*list.Element{}}
}

// get gives a segment, which the caller must not change.
func (c *segmentCache) get(ctx context.Context, id pack.ID) ([]byte, error) {
	c.mu.Lock()
	e, known := c.byID[id]
	if known {
		c.used.MoveToFront(e)
	} else {
		e = c.used.PushFront(&cachedSegment{id: id, ready: make(chan struct{})})
		c.byID[id] = e
	}
	s := e.Value.(*cachedSegment)
	c.mu.Unlock()
	if !known {
		// Not by this caller's ctx: others wait for it too.
		plain, err := c.read(context.WithoutCancel(ctx), id)
		c.keep(e, plain, err)
		close(s.ready)
	}
	select {
	case <-s.ready:
		return s.plain, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads a segment. A prune may have moved it: then the index is read anew.
func (c *segmentCache) read(ctx context.Context, id pack.ID) ([]byte, error) {
	b, err := c.repo.Read(ctx, id)
	if err == nil || !errors.Is(err, pack.ErrDamaged) && !errors.Is(err, pack.ErrUnknownSegment) {
		return b, err
	}
	if err := c.reload(ctx); err != nil {
		return nil, err
	}
	return c.repo.Read(ctx, id)
}

func (c *segmentCache) reload(ctx context.Context) error {
	c.loadMu.Lock()
	defer c.loadMu.Unlock()
	_, _, err := c.repo.LoadIndex(ctx)
	return err
}

// keep counts a segment that was read, and lets go of the ones used longest
// ago. One that could not be read is not kept.
func (c *segmentCache) keep(e *list.Element, plain []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := e.Value.(*cachedSegment)
	s.plain, s.err = plain, err
	if s.err != nil {
		c.drop(e)
		return
	}
	c.bytes += int64(len(s.plain))
	for old := c.used.Back(); c.bytes > c.most && old != nil; {
		before := old.Prev()
		if old != e && old.Value.(*cachedSegment).plain != nil {
			c.bytes -= int64(len(old.Value.(*cachedSegment).plain))
			c.drop(old)
		}
		old = before
	}
}

// drop forgets an element; mu is held.
func (c *segmentCache) drop(e *list.Element) {
	c.used.Remove(e)
	delete(c.byID, e.Value.(*cachedSegment).id)
}
