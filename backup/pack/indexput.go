package pack

import (
	"context"
	"crypto/sha256"
)

// indexPart is how many of the tables go into the next index object.
func indexPart(tables []packTable) int {
	segments := 0
	for i, t := range tables {
		segments += len(t.Segments)
		if i > 0 && segments > indexSegmentsMax {
			return i
		}
	}
	return len(tables)
}

// putIndex writes one index object and gives its size too.
func (r *Repo) putIndex(ctx context.Context, tables []packTable) (IndexRef, int, error) {
	n := newName()
	b, err := r.putObject(ctx, n.under(prefixIndex), encode(indexObject{Version: indexVersion, Packs: tables}))
	return IndexRef{Name: n, Hash: sha256.Sum256(b)}, len(b), err
}

// putTop is putObject for what stands above the index: a manifest or a head.
func (r *Repo) putTop(ctx context.Context, name string, body []byte) ([]byte, error) {
	b, err := r.putObject(ctx, name, body)
	if err == nil {
		r.sent.Add(int64(len(b)))
	}
	return b, err
}

// BytesSent is how much this Repo has stored in manifests and heads, as
// stored. Packs and index objects are counted by their Writer.
func (r *Repo) BytesSent() int64 { return r.sent.Load() }

// putObject seals body as the object called name and stores it.
func (r *Repo) putObject(ctx context.Context, name string, body []byte) ([]byte, error) {
	b, err := r.keys.Object(name, body)
	if err != nil {
		return nil, err
	}
	return b, put(ctx, r.st, name, b)
}
