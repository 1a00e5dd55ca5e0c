package pack

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"strongroom/backup/seal"
	"strongroom/store"
)

// Repo is one repository, opened with its key. Safe for many goroutines.
type Repo struct {
	st     store.Store
	header *seal.Header
	keys   *seal.Keys
	codec  *seal.Codec
	sizes  sizes

	sent    atomic.Int64 // bytes of manifests and heads that were put
	working atomic.Pointer[func()]

	mu    sync.RWMutex
	index *index // guarded by mu
}

// Create makes a repository in an empty storage: ErrRepository if one is
// there. A Create that was interrupted between the two copies of the header
// is completed by the next one with the same key.
func Create(ctx context.Context, st store.Store, key *[32]byte) (*Repo, error) {
	h, err := putHeader(ctx, st, key)
	if err != nil {
		return nil, err
	}
	return newRepo(st, h, key)
}

// putHeader puts both copies and reads both back. A storage without
// conditional writes lets two devices put one name in the same moment; of two
// that each put a, then b, then read a and b, at most one finds itself twice:
// who is overwritten at a after it read a came to b too late. The other takes
// its own copies away.
func putHeader(ctx context.Context, st store.Store, key *[32]byte) (*seal.Header, error) {
	h, err := headerToWrite(ctx, st, key)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{headerA, headerB} {
		if err = put(ctx, st, name, h.Bytes()); err != nil {
			break
		}
	}
	for _, name := range []string{headerA, headerB} {
		if err == nil {
			err = holds(ctx, st, name, h)
		}
	}
	if errors.Is(err, store.ErrExists) { // another Create came first
		for _, name := range []string{headerA, headerB} {
			if holds(ctx, st, name, h) == nil {
				_ = st.Delete(ctx, name)
			}
		}
		return nil, ErrRepository
	}
	return h, err
}

// holds: ErrExists if the copy is not this header.
func holds(ctx context.Context, st store.Store, name string, h *seal.Header) error {
	b, err := st.Get(ctx, name, 0, seal.HeaderBytes+1)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !bytes.Equal(b, h.Bytes()):
		return store.ErrExists
	}
	return err
}

// headerToWrite is a new header, or the one whose first copy alone is there.
func headerToWrite(ctx context.Context, st store.Store, key *[32]byte) (*seal.Header, error) {
	_, err := st.Size(ctx, headerB)
	if err == nil {
		return nil, ErrRepository
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	h, err := readHeader(ctx, st, headerA)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return seal.NewHeader(key), nil
	case err != nil && !errors.Is(err, seal.ErrHeader) && !errors.Is(err, ErrVersion):
		return nil, err
	case err != nil || h.Verify(key) != nil:
		return nil, ErrRepository
	}
	return h, nil
}

// Open opens the repository: ErrNoRepository, ErrWrongKey, ErrVersion, or
// a Damage if no copy of the header serves. One damaged copy is no error:
// the other serves and CheckStructure names the damaged one.
func Open(ctx context.Context, st store.Store, key *[32]byte) (*Repo, error) {
	h, err := readHeaders(ctx, st, func(h *seal.Header) error { return h.Verify(key) })
	if err != nil {
		return nil, err
	}
	return newRepo(st, h, key)
}

// CorrectKey puts a mistyped 64-digit key right against the repository's
// header: one or two wrong digits or two swapped. ErrWrongKey if it can not.
func CorrectKey(ctx context.Context, st store.Store, typed *[32]byte) (key [32]byte, err error) {
	_, err = readHeaders(ctx, st, func(h *seal.Header) error {
		k, ok := seal.CorrectKey(h, typed)
		if !ok {
			return ErrWrongKey
		}
		key = k
		return h.Verify(&key)
	})
	return key, err
}

func newRepo(st store.Store, h *seal.Header, key *[32]byte) (*Repo, error) {
	codec, err := seal.NewCodec(runtime.GOMAXPROCS(0) + 1)
	if err != nil {
		return nil, err
	}
	return &Repo{st: st, header: h, keys: seal.NewKeys(key, h), codec: codec, sizes: defaultSizes, index: newIndex()}, nil
}

// readHeaders gives the first copy that use accepts; if none serves, the
// most telling reason.
func readHeaders(ctx context.Context, st store.Store, use func(*seal.Header) error) (*seal.Header, error) {
	var wrong, fault error
	missing := 0
	for _, name := range []string{headerA, headerB} {
		h, err := readHeader(ctx, st, name)
		if err == nil {
			err = use(h)
		}
		switch {
		case err == nil:
			return h, nil
		case errors.Is(err, ErrWrongKey), errors.Is(err, ErrVersion):
			wrong = err
		case errors.Is(err, store.ErrNotFound):
			missing++
		case errors.Is(err, seal.ErrHeader):
			fault = damaged(name, "no copy of the header serves: ", err)
		default:
			return nil, err
		}
	}
	switch {
	case wrong != nil:
		return nil, wrong
	case missing == 2:
		return nil, ErrNoRepository
	}
	return nil, fault
}

func readHeader(ctx context.Context, st store.Store, name string) (*seal.Header, error) {
	b, err := st.Get(ctx, name, 0, seal.HeaderBytes+1)
	if err != nil {
		return nil, err
	}
	return seal.ParseHeader(b)
}

// Working has f called, from any goroutine, whenever something of what may
// take long is done: an index object or a list read or written, a pack sent or
// read. nil: no longer.
func (r *Repo) Working(f func()) { r.working.Store(&f) }

// works says that something was done.
func (r *Repo) works() {
	if f := r.working.Load(); f != nil && *f != nil {
		(*f)()
	}
}

// ID is the repository's id.
func (r *Repo) ID() [seal.RepositoryBytes]byte { return r.header.Repository }

// SegmentID is the id of a segment of this repository.
func (r *Repo) SegmentID(kind Kind, plaintext []byte) ID { return r.keys.SegmentID(kind, plaintext) }

// PageHash is a keyed hash of one page of a database.
func (r *Repo) PageHash(page []byte) [seal.PageHashBytes]byte { return r.keys.PageHash(page) }

// Has tells whether the loaded index knows the segment in a pack that stays:
// after LoadHeld, one that is not condemned.
func (r *Repo) Has(id ID) bool {
	p, ok := r.place(id)
	return ok && !p.pack.doomed
}

// Size is the segment's plaintext size in bytes, if the index knows it.
func (r *Repo) Size(id ID) (int, bool) {
	p, ok := r.place(id)
	return int(p.raw), ok
}

func (r *Repo) place(id ID) (place, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.index.place(id)
}
