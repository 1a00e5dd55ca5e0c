package pack

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"strongroom/backup/seal"
)

// Result is what a Writer left in the storage. Nothing refers to it until a
// head names Indexes.
type Result struct {
	Indexes   []IndexRef // every index object that the next head must name
	Packs     int        // packs sent
	Segments  int        // segments in them
	RawBytes  int64      // plaintext of them
	BytesSent int64      // packs and index objects, as stored
}

// Writer takes segments and sends packs in the background. Safe for many
// goroutines; its memory is bounded by a fixed number of pack buffers, so
// Add waits when the storage is slow.
type Writer struct {
	r      *Repo
	parent context.Context
	ctx    context.Context // ends with the first error
	cancel context.CancelCauseFunc
	free   chan struct{} // one for each buffer that may be taken; taking one waits
	spare  chan []byte   // buffers that were used: they come first, so that no more are made than are needed at once
	full   chan *draft
	sends  sync.WaitGroup
	sent   atomic.Int64

	mu   sync.Mutex
	done bool          // guarded by mu
	open [lanes]*draft // guarded by mu: the packs being filled

	// Another lock: mu is held while a pack waits for a sender, and a
	// sender must be able to say that it is done.
	sentMu  sync.Mutex
	pending map[ID]struct{} // guarded by sentMu: added here, in no pack that is sent
	written []*packInfo     // guarded by sentMu
}

// Lanes: segments of file contents and pages are spread over dataLanes open
// packs at random; what restores read first lies together in metaLane.
const (
	dataLanes = 2
	metaLane  = dataLanes
	lanes     = dataLanes + 1
)

// draft is a pack being filled: stored forms back to back, each followed by
// room for its tag, so that it is sealed in place.
type draft struct {
	name     Name
	buf      []byte
	limit    int // of the whole pack, bytes
	end      int // offset after the last segment
	segments []segment
	salt     [seal.SaltBytes]byte
}

// NewWriter starts a writer. Finish or Close must be called.
func (r *Repo) NewWriter(ctx context.Context) *Writer {
	w := &Writer{r: r, parent: ctx, free: make(chan struct{}, r.sizes.buffers), spare: make(chan []byte, r.sizes.buffers), full: make(chan *draft), pending: map[ID]struct{}{}}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	for range r.sizes.buffers {
		w.free <- struct{}{}
	}
	for range r.sizes.workers {
		w.sends.Add(1)
		go w.send()
	}
	return w
}

// Add stores a segment whose id the caller has computed by SegmentID, unless
// the repository or this writer has it: then added is false. plaintext may be
// used again once Add returns. An id that is not the plaintext's is found
// before the pack leaves, and ends the writer with ErrSelfCheck.
func (w *Writer) Add(kind Kind, id ID, plaintext []byte) (added bool, err error) {
	if len(plaintext) > SegmentBytesMax {
		return false, seal.ErrSize
	}
	if w.r.Has(id) || !w.claim(id) {
		return false, w.err()
	}
	return true, w.store(kind, id, plaintext, copies(kind))
}

// store stores a segment whether or not the repository has it, so many times:
// the first in the kind's own lane, a second among the data.
func (w *Writer) store(kind Kind, id ID, plaintext []byte, times int) error {
	s := storedScratch.Get().(*scratch)
	defer storedScratch.Put(s)
	stored := w.r.codec.Store(s.bytes[:0], plaintext)
	seg := segment{ID: id, Kind: kind, Raw: uint32(len(plaintext)), Sealed: uint32(len(stored) + seal.TagBytes)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if times > 1 {
		if err := w.append(pickData(), seg, stored); err != nil {
			return err
		}
	}
	return w.append(lane(kind), seg, stored)
}

// claim is true for the first caller that has this id. An id goes from
// pending to the index, never the other way, so the index is asked last.
func (w *Writer) claim(id ID) bool {
	w.sentMu.Lock()
	defer w.sentMu.Unlock()
	if _, there := w.pending[id]; there || w.r.Has(id) {
		return false
	}
	w.pending[id] = struct{}{}
	return true
}

// lane is the open pack that a segment of this kind goes to.
func lane(kind Kind) int {
	if kind == KindFile || kind == KindPages {
		return pickData()
	}
	return metaLane
}

// copies is how often a kind is stored. Those without which other segments
// would be of no use are stored in two packs, so that no single damage takes
// files whose own bytes are whole.
func copies(kind Kind) int {
	if kind == KindList || kind == KindRefs || kind == KindRuns {
		return 2
	}
	return 1
}

// pickData draws a lane, so that the order of files does not show in what
// pack sizes follow each other.
func pickData() int {
	var b [1]byte
	rand.Read(b[:])
	return int(b[0]) % dataLanes
}

// append puts a stored form into a lane's pack; a pack without room for it
// is sent first. w.mu is held: who waits for a buffer here keeps the other
// Adds waiting, which is the bound on memory.
func (w *Writer) append(lane int, s segment, stored []byte) error {
	if err := w.errLocked(); err != nil {
		return err
	}
	d := w.open[lane]
	if d != nil && !d.fits(int(s.Sealed)) {
		if err := w.hand(lane); err != nil {
			return err
		}
		d = nil
	}
	if d == nil {
		var err error
		if d, err = w.newDraft(); err != nil {
			return err
		}
		w.open[lane] = d
	}
	copy(d.buf[d.end:], stored)
	d.end += int(s.Sealed)
	d.segments = append(d.segments, s)
	return nil
}

// fits tells whether one more sealed segment leaves the pack, its table and
// its padding within the limit. The first always fits.
func (d *draft) fits(sealed int) bool {
	return len(d.segments) == 0 || seal.Padme(d.end+sealed+tableRoom(len(d.segments)+1)) <= d.limit
}

func (w *Writer) newDraft() (*draft, error) {
	select {
	case <-w.free:
	case <-w.ctx.Done():
		return nil, context.Cause(w.ctx)
	}
	var buf []byte
	select {
	case buf = <-w.spare:
	default:
		buf = make([]byte, w.r.sizes.bufferBytes())
	}
	return &draft{name: newName(), buf: buf, limit: w.r.sizes.pack, end: seal.FrameBytes}, nil
}

// giveBack lets others have a draft's buffer.
func (w *Writer) giveBack(d *draft) {
	w.spare <- d.buf
	w.free <- struct{}{}
}

// bufferBytes is room for a pack of the limit, or of one largest segment
// where the limit is smaller (tests).
func (s sizes) bufferBytes() int {
	return max(s.pack, seal.Padme(seal.FrameBytes+seal.StoredBytesMax+seal.TagBytes+tableRoom(1)))
}

// hand gives a lane's pack to the senders.
func (w *Writer) hand(lane int) error {
	d := w.open[lane]
	w.open[lane] = nil
	select {
	case w.full <- d:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

func (w *Writer) send() {
	defer w.sends.Done()
	for d := range w.full {
		if w.ctx.Err() == nil {
			if err := w.sendOne(d); err != nil {
				w.cancel(err)
			}
		}
		w.giveBack(d)
	}
}

func (w *Writer) sendOne(d *draft) error {
	b, err := w.r.sealPack(d)
	if err != nil {
		return err
	}
	if err := put(w.ctx, w.r.st, d.name.under(prefixPack), b); err != nil {
		return err
	}
	w.sent.Add(int64(len(b)))
	w.r.works()
	w.know(packTable{Name: d.name, Size: int64(len(b)), Salt: d.salt, Segments: d.segments})
	return nil
}

// know makes a pack that was sent known, as one that no index object names
// yet: what lies in it is found in the index and needs no second memory.
func (w *Writer) know(t packTable) {
	w.r.mu.Lock()
	p := w.r.index.add(t)
	w.r.index.adopted = append(w.r.index.adopted, p)
	w.r.mu.Unlock()
	w.sentMu.Lock()
	defer w.sentMu.Unlock()
	w.written = append(w.written, p)
	for i := range t.Segments {
		delete(w.pending, t.Segments[i].ID)
	}
}

// BytesSent is how much has been stored so far. For progress.
func (w *Writer) BytesSent() int64 { return w.sent.Load() }

func (w *Writer) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errLocked()
}

func (w *Writer) errLocked() error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	if w.done {
		return ErrWriter
	}
	return nil
}

// Close stops a writer that will not be finished. Packs that were sent stay:
// AdoptOrphans finds them. After Finish it does nothing.
func (w *Writer) Close() {
	w.mu.Lock()
	was := w.done
	w.done = true
	w.mu.Unlock()
	if was {
		return
	}
	w.cancel(errors.New("pack: the writer was closed"))
	close(w.full)
	w.sends.Wait()
}

// Finish sends the last packs and writes the index of all that this writer
// sent or adopted; from then on Has and Read know it. Result.Indexes is what
// the next head must name. An error leaves the repository as it was, but for
// packs that the next try adopts.
func (w *Writer) Finish() (Result, error) {
	if err := w.finishPacks(); err != nil {
		return Result{}, err
	}
	return w.index()
}

// finishPacks sends the last packs; w.written is then all of them.
func (w *Writer) finishPacks() error {
	if err := w.flush(); err != nil {
		w.Close()
		return err
	}
	w.sends.Wait()
	err := context.Cause(w.ctx)
	w.cancel(ErrWriter)
	return err
}

// flush hands out what is open and ends the senders' queue.
func (w *Writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.errLocked(); err != nil {
		return err
	}
	w.join()
	for lane := range w.open {
		if w.open[lane] == nil {
			continue
		}
		if err := w.hand(lane); err != nil {
			return err
		}
	}
	w.done = true
	close(w.full)
	return nil
}

// join puts the data lanes' remains into one pack where they fit.
func (w *Writer) join() {
	into, from := w.open[0], w.open[1]
	if into == nil || from == nil {
		return
	}
	n := from.end - seal.FrameBytes
	room := tableRoom(len(into.segments) + len(from.segments))
	if seal.Padme(into.end+n+room) > into.limit {
		return
	}
	copy(into.buf[into.end:], from.buf[seal.FrameBytes:from.end])
	into.end += n
	into.segments = append(into.segments, from.segments...)
	w.open[1] = nil
	w.giveBack(from)
}

// index writes index objects for the packs written and adopted.
func (w *Writer) index() (Result, error) {
	r := w.r
	adopted := w.adopted()
	res := Result{Packs: len(w.written)}
	for _, p := range w.written {
		res.Segments += int(p.count)
		for _, s := range r.table(p).Segments {
			res.RawBytes += int64(s.Raw)
		}
		r.works()
	}
	packs := adopted
	if len(packs) > 0 {
		packs = slices.Concat(adopted, r.manySmall())
	}
	named, sent, err := r.putIndexes(w.parent, packs)
	w.sent.Add(sent)
	if err != nil {
		return Result{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index.know(named)
	r.index.adopted = r.index.adopted[len(adopted):]
	res.Indexes = r.index.essential()
	res.BytesSent = w.sent.Load()
	return res, nil
}

// adopted gives the packs that no index object names, those of this writer
// among them: also where the index was loaded anew since they were sent.
func (w *Writer) adopted() []*packInfo {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	x := w.r.index
	for _, p := range w.written {
		if p.in != x && x.packs[p.name] == nil {
			x.adopted = append(x.adopted, x.add(p.table()))
		}
	}
	return slices.Clone(x.adopted)
}
