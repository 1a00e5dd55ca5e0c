package pack

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// needs is every segment that some snapshots need between them, with its
// kind. Snapshots share most of their lists, so each list is read once.
type needs struct {
	r     *Repo
	kinds map[ID]Kind
	lists []ID        // KindList, not yet read
	refs  map[ID]Kind // KindRefs, not yet read: the kind of what they name
}

// needsOf reads what the manifests need. An error says what could not be
// read: then needs is not all, and nothing may be deleted by it.
func (r *Repo) needsOf(ctx context.Context, all []*Manifest) (map[ID]Kind, error) {
	n := &needs{r: r, kinds: map[ID]Kind{}, refs: map[ID]Kind{}}
	for _, m := range all {
		for _, id := range m.Lists {
			if n.add(id, KindList) {
				n.lists = append(n.lists, id)
			}
		}
	}
	if err := n.readLists(ctx); err != nil {
		return nil, err
	}
	return n.kinds, n.readRefs(ctx)
}

// add notes a segment; true if it is new.
func (n *needs) add(id ID, kind Kind) bool {
	if _, known := n.kinds[id]; known {
		return false
	}
	n.kinds[id] = kind
	return true
}

func (n *needs) addRefs(refs Refs, kind Kind) {
	for _, id := range refs.Direct {
		n.add(id, kind)
	}
	for _, id := range refs.Lists {
		if n.add(id, KindRefs) {
			n.refs[id] = kind
		}
	}
}

func (n *needs) readLists(ctx context.Context) error {
	for len(n.lists) > 0 {
		batch := &Manifest{Lists: n.lists[:min(len(n.lists), listBatch)]}
		n.lists = n.lists[len(batch.Lists):]
		if err := n.r.Entries(ctx, batch, func(e *Entry) error {
			n.entry(e)
			return ctx.Err()
		}); err != nil {
			return err
		}
	}
	return nil
}

func (n *needs) entry(e *Entry) {
	if e.Content != nil {
		n.addRefs(*e.Content, KindFile)
	}
	if e.Database == nil {
		return
	}
	for _, l := range e.Database.Layers {
		n.addRefs(l.Runs, KindRuns)
		n.addRefs(l.Groups, KindPages)
		n.addRefs(l.Hashes, KindPageHash)
	}
}

// readRefs reads the segments of ids that large files and databases have.
func (n *needs) readRefs(ctx context.Context) error {
	ids := make([]ID, 0, len(n.refs))
	for id := range n.refs {
		ids = append(ids, id)
	}
	var mu sync.Mutex
	return n.r.ReadAll(ctx, ids, func(id ID, plain []byte) error {
		if len(plain)%len(ID{}) != 0 {
			return fmt.Errorf("%w: refs %x", ErrMalformed, id)
		}
		mu.Lock()
		defer mu.Unlock()
		for ; len(plain) > 0; plain = plain[len(ID{}):] {
			n.add(ID(plain), n.refs[id])
		}
		return nil
	})
}

// missingOf gives what of needs no pack has in its kind.
func (r *Repo) missingOf(need map[ID]Kind) (out []ID) {
	for id, kind := range need {
		if p, ok := r.place(id); !ok || p.kind != kind {
			out = append(out, id)
		}
	}
	return out
}

// liveManifests reads the manifest of every live snapshot.
func (r *Repo) liveManifests(ctx context.Context, refs []SnapshotRef) (out []*Manifest, err error) {
	for _, ref := range refs {
		m, err := r.Manifest(ctx, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// wholeNeeds is needsOf all live snapshots, every segment of it in some pack;
// else ErrIncomplete.
func (r *Repo) wholeNeeds(ctx context.Context, heads []*HeadAt) (map[ID]Kind, error) {
	all, err := r.liveManifests(ctx, liveSnapshots(heads))
	var need map[ID]Kind
	if err == nil {
		need, err = r.needsOf(ctx, all)
	}
	switch lost := r.missingOf(need); {
	case err != nil && unreadable(err):
		return nil, fmt.Errorf("%w: %w", ErrIncomplete, err)
	case err != nil:
		return nil, err
	case len(lost) > 0:
		return nil, fmt.Errorf("%w: %d segments are in no pack, one of them %x", ErrIncomplete, len(lost), lost[0])
	}
	return need, nil
}

// ErrIncomplete: what the live snapshots need is not all there, or can not
// all be read, so nobody can say what may be deleted. Nothing was.
var ErrIncomplete = errors.New("pack: a live snapshot is damaged")
