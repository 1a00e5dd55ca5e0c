package pack

import (
	"context"
	"fmt"

	"strongroom/backup/seal"
)

// AddBytes cuts data, which may be longer than a segment, into segments of
// one kind and gives their ids.
func (w *Writer) AddBytes(kind Kind, data []byte) ([]ID, error) {
	var out []ID
	for len(data) > 0 {
		n := min(len(data), SegmentBytesMax)
		id := w.r.SegmentID(kind, data[:n])
		if _, err := w.Add(kind, id, data[:n]); err != nil {
			return nil, err
		}
		out, data = append(out, id), data[n:]
	}
	return out, nil
}

// AddRefs makes the Refs of ids, and stores the segments of KindRefs that it
// needs.
func (w *Writer) AddRefs(ids []ID) (Refs, error) {
	if len(ids) <= refsDirectMax {
		return Refs{Direct: ids, Lists: []ID{}}, nil
	}
	joined := make([]byte, 0, len(ids)*seal.IDBytes)
	for _, id := range ids {
		joined = append(joined, id[:]...)
	}
	lists, err := w.AddBytes(KindRefs, joined)
	return Refs{Direct: []ID{}, Lists: lists}, err
}

// IDs gives the ids that refs stands for, reading segments where it must.
func (r *Repo) IDs(ctx context.Context, refs Refs) ([]ID, error) {
	if len(refs.Lists) == 0 {
		return refs.Direct, nil
	}
	joined, err := r.ReadJoined(ctx, KindRefs, refs.Lists)
	if err != nil {
		return nil, err
	}
	if len(joined)%seal.IDBytes != 0 || len(refs.Direct) != 0 {
		return nil, fmt.Errorf("%w: refs", ErrMalformed)
	}
	out := make([]ID, len(joined)/seal.IDBytes)
	for i := range out {
		out[i] = ID(joined[i*seal.IDBytes:])
	}
	return out, nil
}

// ReadJoined gives the plaintexts of segments of one kind, joined in the
// order of ids.
func (r *Repo) ReadJoined(ctx context.Context, kind Kind, ids []ID) ([]byte, error) {
	at := make(map[ID][]int, len(ids)) // offsets in out
	size := 0
	for _, id := range ids {
		p, ok := r.place(id)
		if !ok {
			return nil, fmt.Errorf("%w: %x", ErrUnknownSegment, id)
		}
		if p.kind != kind {
			return nil, fmt.Errorf("%w: segment %x is of kind %d, not %d", ErrMalformed, id, p.kind, kind)
		}
		at[id] = append(at[id], size)
		size += int(p.raw)
	}
	out := make([]byte, size)
	err := r.ReadAll(ctx, ids, func(id ID, plain []byte) error {
		for _, o := range at[id] {
			copy(out[o:], plain)
		}
		return nil
	})
	return out, err
}

// Runs gives a layer's runs of pages.
func (r *Repo) Runs(ctx context.Context, l *Layer) ([]Run, error) {
	ids, err := r.IDs(ctx, l.Runs)
	if err != nil {
		return nil, err
	}
	b, err := r.ReadJoined(ctx, KindRuns, ids)
	if err != nil {
		return nil, err
	}
	return ParseRuns(b, l.Pages)
}
