package pack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"strongroom/backup/seal"
	"strongroom/store"
)

const (
	readWorkers = 3         // packs being read at once
	gapBytesMax = 512 << 10 // unneeded bytes read to save a request

	// nearSpanBytes is what is read at once from a store that is near: a
	// request saves nothing there, and what is read stays in the processor's
	// cache until it is opened.
	nearSpanBytes = 512 << 10

	bufferBytesMax = 8 << 20 // made ahead of need, whatever an index says of sizes
)

// wanted is one segment to read.
type wanted struct {
	id ID
	at place
}

// span is a part of a pack read by one request.
type span struct {
	pack       *packInfo
	start, end uint32
	segments   []wanted
}

// Read gives one segment: ErrUnknownSegment, or a Damage where no copy of it
// opens.
func (r *Repo) Read(ctx context.Context, id ID) ([]byte, error) {
	var out []byte
	err := r.ReadAll(ctx, []ID{id}, func(_ ID, plain []byte) error {
		out = append([]byte(nil), plain...)
		return nil
	})
	return out, err
}

// ReadAll gives every segment once (an id named twice is given once), about
// one request a pack. use is called from several goroutines at once, in any
// order; the plaintext is its own only until it returns. Its error stops
// ReadAll. Segments that are unknown or damaged do not stop it: the others
// are given, and the error joins a Damage for each object at fault, with the
// segments lost, and ErrUnknownSegment for what no index knows.
func (r *Repo) ReadAll(ctx context.Context, ids []ID, use func(id ID, plaintext []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	spans, unknown := r.plan(ids)
	work := make(chan span)
	room := largest(spans)
	var mu sync.Mutex
	var damage []*Damage // guarded by mu
	var readers sync.WaitGroup
	for range min(readWorkers, len(spans)) {
		readers.Go(func() {
			buf := make([]byte, 0, room) // used again for each span
			for s := range work {
				var d []*Damage
				var err error
				d, buf, err = r.readSpan(ctx, s, buf, use)
				if err != nil {
					cancel(err)
					return
				}
				r.works()
				mu.Lock()
				damage = append(damage, d...)
				mu.Unlock()
			}
		})
	}
	err := feed(ctx, work, spans)
	readers.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	return errors.Join(append(asErrors(mergeDamage(damage)), unknown...)...)
}

// feed hands out all, unless ctx ends first.
func feed[T any](ctx context.Context, work chan<- T, all []T) error {
	defer close(work)
	for _, x := range all {
		select {
		case work <- x:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// plan groups the ids by pack, in order of first need, and cuts each pack's
// share into spans.
func (r *Repo) plan(ids []ID) (spans []span, unknown []error) {
	byPack := map[*packInfo][]wanted{}
	var order []*packInfo
	seen := make(map[ID]struct{}, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; twice {
			continue
		}
		seen[id] = struct{}{}
		p, ok := r.place(id)
		if !ok {
			unknown = append(unknown, fmt.Errorf("%w: %x", ErrUnknownSegment, id))
			continue
		}
		if byPack[p.pack] == nil {
			order = append(order, p.pack)
		}
		byPack[p.pack] = append(byPack[p.pack], wanted{id, p})
	}
	most := uint32(math.MaxUint32)
	if store.Near(r.st) {
		most = nearSpanBytes
	}
	for _, p := range order {
		spans = append(spans, cut(p, byPack[p], most)...)
	}
	return spans, unknown
}

// largest is the room that any of the spans needs, in bytes: a reader that took
// what it needs next would leave a smaller buffer as garbage each time.
func largest(spans []span) (room int) {
	for _, s := range spans {
		room = max(room, int(s.end-s.start))
	}
	return min(room, bufferBytesMax)
}

func byOffset(a, b wanted) int { return cmp.Compare(a.at.offset, b.at.offset) }

// cut joins segments of one pack that lie close together, up to most bytes.
func cut(p *packInfo, segments []wanted, most uint32) (spans []span) {
	slices.SortFunc(segments, byOffset)
	for _, s := range segments {
		end := s.at.offset + s.at.sealed
		if n := len(spans); n > 0 && s.at.offset-spans[n-1].end <= gapBytesMax && end-spans[n-1].start <= most {
			spans[n-1].end = end
			spans[n-1].segments = append(spans[n-1].segments, s)
			continue
		}
		spans = append(spans, span{pack: p, start: s.at.offset, end: end, segments: []wanted{s}})
	}
	return spans
}

// readSpan reads one span and gives its segments to use. A segment that does
// not open is looked for in its other copies. It reads into buf if it can, and
// gives what it read into for the next.
func (r *Repo) readSpan(ctx context.Context, s span, buf []byte, use func(ID, []byte) error) (damage []*Damage, b []byte, err error) {
	name := s.pack.name.under(prefixPack)
	b, err = store.GetInto(ctx, r.st, name, int64(s.start), int64(s.end-s.start), buf)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return nil, buf, err
	}
	p := r.keys.KnownPack(name, s.pack.salt)
	for _, w := range s.segments {
		if context.Cause(ctx) != nil {
			return nil, b, context.Cause(ctx)
		}
		what, err := r.readOne(p, w, b, s.start, use)
		r.works()
		if err != nil {
			return nil, b, err
		}
		if what == "" {
			continue
		}
		if missing {
			what = "missing"
		}
		saved, err := r.readCopies(ctx, w, use)
		if err != nil {
			return nil, b, err
		}
		if !saved {
			damage = append(damage, &Damage{Object: name, What: what, Lost: []ID{w.id}})
		}
	}
	return damage, b, nil
}

// readOne opens one segment out of b, which begins at offset start of the
// pack. what says why it could not; err is use's.
func (r *Repo) readOne(p *seal.Pack, w wanted, b []byte, start uint32, use func(ID, []byte) error) (what string, err error) {
	from := int(w.at.offset - start)
	to := from + int(w.at.sealed)
	if to > len(b) {
		return "cut", nil
	}
	s := segment{ID: w.id, Kind: w.at.kind, Raw: w.at.raw, Sealed: w.at.sealed}
	open := r.openSegment(p, w.at.offset, s, b[from:to], func(plain []byte) error {
		err = use(w.id, plain)
		return nil
	})
	if open != nil {
		return "segment: " + open.Error(), nil
	}
	return "", err
}

// readCopies tries the segment's other places.
func (r *Repo) readCopies(ctx context.Context, w wanted, use func(ID, []byte) error) (saved bool, err error) {
	r.mu.RLock()
	places := r.index.copies(w.id)
	r.mu.RUnlock()
	for _, at := range places {
		if at.pack == w.at.pack && at.offset == w.at.offset {
			continue // this one was read
		}
		name := at.pack.name.under(prefixPack)
		b, err := r.st.Get(ctx, name, int64(at.offset), int64(at.sealed))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		what, err := r.readOne(r.keys.KnownPack(name, at.pack.salt), wanted{w.id, at}, b, at.offset, use)
		if err != nil || what == "" {
			return err == nil, err
		}
	}
	return false, nil
}

// mergeDamage makes one Damage of those with the same object and reason.
func mergeDamage(in []*Damage) (out []*Damage) {
	type key struct{ object, what string }
	at := map[key]*Damage{}
	for _, d := range in {
		k := key{d.Object, d.What}
		if have := at[k]; have != nil {
			have.Lost = append(have.Lost, d.Lost...)
			continue
		}
		at[k] = d
		out = append(out, d)
	}
	return out
}

func asErrors(in []*Damage) (out []error) {
	for _, d := range in {
		out = append(out, d)
	}
	return out
}
