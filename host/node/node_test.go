package node

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/protocol/wire"
)

// fakeBox answers a request once the entry that it appended for it is
// durable, as a real box does, and checks what its node tells it.
type fakeBox struct {
	t    *testing.T
	out  chan wire.Out
	done chan struct{}
	err  error
	hold chan struct{} // not nil: requests wait until it is closed

	mu      sync.Mutex // guards what follows
	index   uint64
	durable uint64
	waits   map[uint64]wire.Request // by the index of its entry
	storage *fakeLog
	ticks   int
}

func newFakeBox(t *testing.T, s *fakeLog) *fakeBox {
	return &fakeBox{t: t, out: make(chan wire.Out, 1000), done: make(chan struct{}), waits: map[uint64]wire.Request{}, storage: s}
}

func (b *fakeBox) Out() <-chan wire.Out  { return b.out }
func (b *fakeBox) Done() <-chan struct{} { return b.done }
func (b *fakeBox) Err() error            { return b.err }

func (b *fakeBox) In(in wire.In) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if in.NowMillis == 0 {
		b.t.Error("the node told no time")
	}
	if in.Durable < b.durable {
		b.t.Errorf("durable went back from %d to %d", b.durable, in.Durable)
	}
	if in.Durable > b.storage.Last() {
		b.t.Errorf("durable %d was named, the disk holds %d", in.Durable, b.storage.Last())
	}
	b.durable = in.Durable
	if len(in.Requests) == 0 {
		b.ticks++
	}
	var out wire.Out
	for _, r := range in.Requests {
		if b.hold != nil {
			continue
		}
		b.index++
		b.waits[b.index] = r
		out.Append = append(out.Append, wire.Entry{Index: b.index, Bytes: r.Sealed})
	}
	for index, r := range b.waits {
		if index <= b.durable {
			out.Replies = append(out.Replies, wire.Reply{ID: r.ID, Sealed: r.Sealed})
			out.Counts.Debited++
			delete(b.waits, index)
		}
	}
	if len(out.Append)+len(out.Replies) > 0 {
		b.out <- out
	}
}

// fakeLog is a log in memory whose fsync can be held.
type fakeLog struct {
	mu      sync.Mutex // guards what follows
	last    uint64
	appends int
	fail    error
	hold    chan struct{}
	entered chan struct{}
}

func (l *fakeLog) Append(es []wire.Entry) error {
	if l.hold != nil {
		l.entered <- struct{}{}
		<-l.hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	if l.fail != nil {
		return l.fail
	}
	l.last = es[len(es)-1].Index
	return nil
}

func (l *fakeLog) Entries(uint64) ([]wire.Entry, error)    { return nil, nil }
func (l *fakeLog) Read(keys [][]byte) ([][]byte, error)    { return make([][]byte, len(keys)), nil }
func (l *fakeLog) Keep([]wire.Page, wire.Checkpoint) error { return nil }

func (l *fakeLog) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func TestDo(t *testing.T) {
	s := &fakeLog{}
	n := New(Config{Box: newFakeBox(t, s), Store: s, InFlightMax: 100})
	defer n.Close()
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			r, err := n.Do(t.Context(), []byte{byte(i)})
			if err != nil || !bytes.Equal(r.Sealed, []byte{byte(i)}) {
				t.Errorf("request %d: %x, %v", i, r.Sealed, err)
			}
		})
	}
	callers.Wait()
	if n.InFlight() != 0 || n.Durable() != 100 {
		t.Fatalf("%d in flight, durable %d", n.InFlight(), n.Durable())
	}
	if n.Counts().Debited != 100 {
		t.Fatalf("counts: %+v", n.Counts())
	}
}

// What the box gives while one fsync runs is written by the next one.
func TestOneSyncForMany(t *testing.T) {
	s := &fakeLog{hold: make(chan struct{}), entered: make(chan struct{}, 100)}
	n := New(Config{Box: newFakeBox(t, s), Store: s})
	defer n.Close()
	var callers sync.WaitGroup
	do := func() {
		callers.Go(func() {
			if _, err := n.Do(t.Context(), []byte{1}); err != nil {
				t.Error(err)
			}
		})
	}
	do()
	<-s.entered // the first fsync runs
	for range 20 {
		do()
	}
	for {
		n.mu.Lock()
		collected := len(n.entries)
		n.mu.Unlock()
		if collected == 20 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(s.hold)
	callers.Wait()
	if s.appends != 2 {
		t.Fatalf("%d fsyncs for 1 and then 20 entries", s.appends)
	}
}

// Callers that give up keep their slots until the box has answered: else they
// would pile work up in the box without limit.
func TestBusy(t *testing.T) {
	s := &fakeLog{}
	b := newFakeBox(t, s)
	b.hold = make(chan struct{})
	n := New(Config{Box: b, Store: s, InFlightMax: 3})
	defer n.Close()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := n.Do(ctx, []byte{1}); !errors.Is(err, ErrUnanswered) || !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := n.Do(t.Context(), []byte{1}); !errors.Is(err, ErrBusy) {
		t.Fatalf("a fourth request got in: %v", err)
	}
	for id := range uint64(3) { // answers come, one of them twice
		b.out <- wire.Out{Replies: []wire.Reply{{ID: id + 1}, {ID: 1}, {ID: 99}}}
	}
	for n.InFlight() != 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestFailedLogStopsTheNode(t *testing.T) {
	s := &fakeLog{fail: ErrFull}
	n := New(Config{Box: newFakeBox(t, s), Store: s})
	if _, err := n.Do(t.Context(), []byte{1}); !errors.Is(err, ErrUnanswered) || !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	<-n.Done()
	if !errors.Is(n.Failed(), ErrFull) {
		t.Fatalf("the node says %v", n.Failed())
	}
	if _, err := n.Do(t.Context(), []byte{1}); !errors.Is(err, ErrFull) {
		t.Fatalf("a stopped node took a request: %v", err)
	}
	n.Close()
	if s.appends != 1 {
		t.Fatalf("%d appends, the first failed", s.appends)
	}
}

func TestBoxStops(t *testing.T) {
	s := &fakeLog{}
	b := newFakeBox(t, s)
	n := New(Config{Box: b, Store: s})
	b.err = errors.New("the entry does not follow the chain")
	close(b.done)
	<-n.Done()
	if err := n.Failed(); !errors.Is(err, ErrDown) || !errors.Is(err, b.err) {
		t.Fatalf("the node says %v", err)
	}
	n.Close()
}

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeLog{}
		b := newFakeBox(t, s)
		n := New(Config{Box: b, Store: s})
		time.Sleep(10*tickEvery + tickEvery/2)
		n.Close()
		if b.ticks != 11 { // the first tells what the log holds
			t.Errorf("%d ticks", b.ticks)
		}
		if n.Failed() != nil || !errors.Is(n.Err(), ErrDown) {
			t.Errorf("closed: %v, %v", n.Failed(), n.Err())
		}
	})
}
