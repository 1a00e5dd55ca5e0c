package pack

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"strongroom/store"
)

const (
	headVersion = 1
	headsKept   = 8 // of a device's chain; older ones may be deleted
)

// Head is one link of a device's chain: all that is live for this device.
type Head struct {
	Version   uint8             `cbor:"1,keyasint"`
	Device    DeviceID          `cbor:"2,keyasint"`
	Sequence  uint64            `cbor:"3,keyasint"` // from 1, without gaps
	Parent    [sha256.Size]byte `cbor:"4,keyasint"` // HeadAt.Hash of the one before; zero for the first
	TimeNanos int64             `cbor:"5,keyasint"` // Unix time, nanoseconds
	Snapshots []SnapshotRef     `cbor:"6,keyasint"` // live, oldest first
	Indexes   []IndexRef        `cbor:"7,keyasint"` // every index object that they need
}

// HeadAt is a head in the storage.
type HeadAt struct {
	Head
	Name Name
	Hash [sha256.Size]byte // SHA-256 of the sealed bytes: what the freshness mark covers
}

// PutHead stores a head under the name that its device and sequence give.
// ErrHeadTaken if another head has that place: look at Heads before going on.
func (r *Repo) PutHead(ctx context.Context, h Head) (*HeadAt, error) {
	h.Version = headVersion
	if h.Sequence == 0 || (h.Sequence == 1) != (h.Parent == [sha256.Size]byte{}) {
		return nil, fmt.Errorf("%w: head without its place in the chain", ErrMalformed)
	}
	n := Name(r.keys.HeadName(h.Device, h.Sequence))
	b, err := r.putTop(ctx, n.under(prefixHead), encode(h))
	if errors.Is(err, store.ErrExists) {
		return nil, ErrHeadTaken
	}
	if err != nil {
		return nil, err
	}
	return &HeadAt{Head: h, Name: n, Hash: sha256.Sum256(b)}, nil
}

// Heads gives the newest head of each device, in order of device. Damage
// names heads that do not open and gaps in what is left of a chain.
//
// The newest that opens counts, whatever its older ones look like: only who
// holds K can write one, and refusing it because an older one is damaged
// would lose what is whole.
func (r *Repo) Heads(ctx context.Context) (heads []*HeadAt, damage []*Damage, err error) {
	for range headsTries {
		gone := false
		heads, damage, gone, err = r.readHeads(ctx)
		if err != nil || !gone {
			break
		}
	}
	return heads, damage, err
}

// headsTries bounds how often heads are listed anew because old ones were
// deleted meanwhile, each of which would look like a gap.
const headsTries = 8

// readHeads tells too whether a head is gone that was listed.
func (r *Repo) readHeads(ctx context.Context) (out []*HeadAt, damage []*Damage, gone bool, err error) {
	var names []string
	for info, err := range r.st.List(ctx, prefixHead) {
		if err != nil {
			return nil, nil, false, err
		}
		names = append(names, info.Name)
	}
	var mu sync.Mutex
	chains := map[DeviceID][]*HeadAt{}
	err = spread(ctx, names, func(ctx context.Context, name string) error {
		h, err := r.readHead(ctx, name)
		mu.Lock()
		defer mu.Unlock()
		gone = gone || missingObject(err)
		if d := (*Damage)(nil); errors.As(err, &d) {
			damage = append(damage, d)
			return nil
		}
		if err == nil {
			chains[h.Device] = append(chains[h.Device], h)
		}
		return err
	})
	if err != nil {
		return nil, nil, false, err
	}
	slices.SortFunc(damage, func(a, b *Damage) int { return cmp.Compare(a.Object, b.Object) })
	for _, chain := range chains {
		slices.SortFunc(chain, func(a, b *HeadAt) int { return cmp.Compare(a.Sequence, b.Sequence) })
		damage = append(damage, r.chainDamage(chain, damage)...)
		out = append(out, chain[len(chain)-1])
	}
	slices.SortFunc(out, func(a, b *HeadAt) int { return slices.Compare(a.Device[:], b.Device[:]) })
	return out, damage, gone, nil
}

// chainDamage names heads that are missing between those present (unless
// known names them already) and those whose successor says another hash.
func (r *Repo) chainDamage(chain []*HeadAt, known []*Damage) (damage []*Damage) {
	for i := 1; i < len(chain); i++ {
		before, h := chain[i-1], chain[i]
		if h.Sequence == before.Sequence+1 {
			if h.Parent != before.Hash {
				damage = append(damage, &Damage{Object: before.Name.under(prefixHead), What: "is not the head that its successor names"})
			}
			continue
		}
		name := Name(r.keys.HeadName(h.Device, h.Sequence-1)).under(prefixHead)
		if !slices.ContainsFunc(known, func(d *Damage) bool { return d.Object == name }) {
			damage = append(damage, &Damage{Object: name, What: "missing from the chain of its device"})
		}
	}
	return damage
}

// readHead opens a head and checks that its name is the one of its place.
func (r *Repo) readHead(ctx context.Context, object string) (*HeadAt, error) {
	n, ok := parseName(object, prefixHead, "")
	if !ok {
		return nil, &Damage{Object: object, What: "is no head of this repository"}
	}
	body, hash, err := r.getObject(ctx, object)
	if err != nil {
		return nil, err
	}
	h, err := parseHead(body)
	if err != nil {
		return nil, damaged(object, "", err)
	}
	if Name(r.keys.HeadName(h.Device, h.Sequence)) != n {
		return nil, &Damage{Object: object, What: "is the head of another place"}
	}
	return &HeadAt{Head: *h, Name: n, Hash: hash}, nil
}

func parseHead(b []byte) (*Head, error) {
	h := &Head{}
	if err := decodeVersion(b, headVersion, h); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if h.Sequence == 0 || (h.Sequence == 1) != (h.Parent == [sha256.Size]byte{}) {
		return nil, fmt.Errorf("%w: head without its place in the chain", ErrMalformed)
	}
	return h, nil
}

// DropOldHeads deletes the heads of this device's chain beyond the last
// headsKept before the given newest one, the oldest first: killed on the way
// it leaves no gap.
func (r *Repo) DropOldHeads(ctx context.Context, newest *HeadAt) error {
	var old []string
	for s := newest.Sequence; s > headsKept; s-- {
		name := Name(r.keys.HeadName(newest.Device, s-headsKept)).under(prefixHead)
		if _, err := r.st.Size(ctx, name); errors.Is(err, store.ErrNotFound) {
			break // those before it went earlier
		} else if err != nil {
			return err
		}
		old = append(old, name)
	}
	for _, name := range slices.Backward(old) {
		if err := r.st.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
