// Package node is the untrusted host of a box: it moves sealed bytes between
// the relay and the box, keeps the box's sealed log on the disk and tells the
// box the time. A thief of it can stop the service, and no more (where the
// box is isolated from it).
package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/protocol/wire"
)

// Limits of a node.
const (
	// InFlightMax is how many requests are inside the box at a time, unless
	// Config says otherwise. A node can not tell a Watch from a login, and the
	// box holds at most WatchersMax of them: so they take no login's place.
	InFlightMax = 256 + wire.WatchersMax

	writeRests   = 2                // times as long as a write of the log took is rested after it,
	writeRestMax = time.Millisecond // at most

	tickEvery = 250 * time.Millisecond // how often the box learns the time when nothing else happens
)

// Errors of Do, which no reply comes with. After ErrBusy and ErrDown the box
// never saw the request; after ErrUnanswered it may have carried it out.
var (
	ErrBusy       = errors.New("node: too many requests in flight")
	ErrDown       = errors.New("node: the box does not run")
	ErrUnanswered = errors.New("node: the box did not answer in time")
)

// Box is a trusted box as its node sees it. Every request that goes in gets
// exactly one reply; In does not wait for Out to be read.
type Box interface {
	In(wire.In)
	Out() <-chan wire.Out
	Done() <-chan struct{} // closed when the box has stopped
	Err() error            // why, once Done is closed
}

// Alerts keeps what the box tells the operator. *alert.Spool is one.
type Alerts interface {
	Put([]wire.SealedAlerts) // never waits
	Mark() uint64            // the log's index up to which all that was Put is durable
	Flush()                  // waits until all that was Put is durable, or lost
}

// Config composes a node.
type Config struct {
	Box         Box
	Store       Storage
	Alerts      Alerts           // nil: there is nobody to tell
	Now         func() time.Time // nil: time.Now
	InFlightMax int              // 0: the package's InFlightMax

	// Of an island of several boxes.
	ID    wire.BoxID // the box that Box must be
	Peers Peers      // nil: it is the only one
}

// Node runs one box. New starts it.
type Node struct {
	box      Box
	store    Storage
	alerts   Alerts
	id       wire.BoxID
	peers    Peers // nil: the box is the only one
	now      func() time.Time
	tick     *time.Ticker
	clock    clock
	calendar calendar    // of the feeder alone
	released atomic.Bool // the box holds nobody any more

	slots    chan struct{}     // one token for each request inside the box, also when its caller left
	requests chan wire.Request // as large as slots: a holder of a slot never waits
	durable  atomic.Uint64     // last durable index, written by the writer alone
	synced   chan struct{}     // tells the feeder that durable grew
	pending  chan struct{}     // tells the writer that entries wait
	kept     atomic.Uint64     // serial of the last checkpoint that is durable, written by the keeper alone
	asked    chan struct{}     // tells the keeper that something is asked of the pages

	mu      sync.Mutex // guards what follows
	lastID  uint64
	waiting map[uint64]chan wire.Reply // nil channel: its caller left
	entries []wire.Entry               // given by the box, not yet durable
	pages   []wire.Out                 // what the box asked of the pages, not yet done
	found   []wire.Found               // not yet told
	epoch   bool                       // a new epoch is wanted
	counts  wire.Counts
	err     error

	received      []wire.Received // of other boxes, not yet told
	receivedBytes int             // of them
	overrun       uint64
	island        *wire.IslandReport // the last one, nil for none
	led           chan struct{}      // closed when another box leads
	order         []byte             // a cold start's, not yet told
	gone          []wire.BoxID       // other boxes whose processes ended, not yet told
	layouts       *wire.Layouts      // not yet told
	replacements  [][]byte           // certificates, not yet told

	stopping chan struct{}  // closed by the first stop
	stopped  chan struct{}  // closed when every goroutine has ended
	running  sync.WaitGroup // the goroutines
}

// New starts a node: the box already holds every entry of the log.
func New(c Config) *Node {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.InFlightMax == 0 {
		c.InFlightMax = InFlightMax
	}
	n := &Node{
		box: c.Box, store: c.Store, alerts: c.Alerts, now: c.Now, id: c.ID, peers: c.Peers,
		tick:     time.NewTicker(tickEvery),
		clock:    clock{time.Now()},
		led:      make(chan struct{}),
		slots:    make(chan struct{}, c.InFlightMax),
		requests: make(chan wire.Request, c.InFlightMax),
		synced:   make(chan struct{}, 1),
		pending:  make(chan struct{}, 1),
		asked:    make(chan struct{}, 1),
		waiting:  make(map[uint64]chan wire.Reply),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	if n.peers != nil {
		n.tick.Reset(tick)
	}
	n.durable.Store(c.Store.Last())
	n.synced <- struct{}{} // the first In names what the log holds
	n.running.Go(n.feed)
	n.running.Go(n.collect)
	n.running.Go(n.write)
	n.running.Go(n.keep)
	go func() {
		n.running.Wait()
		n.tick.Stop()
		close(n.stopped)
	}()
	return n
}

// feed is the only caller of In: requests, time and durable indices go in
// together, and durable never goes back.
func (n *Node) feed() {
	for {
		var in wire.In
		select {
		case r := <-n.requests:
			in.Requests = append(in.Requests, r)
		case <-n.synced:
		case <-n.tick.C:
		case <-n.stopping:
			return
		}
		for more := true; more; {
			select {
			case r := <-n.requests:
				in.Requests = append(in.Requests, r)
			default:
				more = false
			}
		}
		in.NowMillis = uint64(n.calendar.tell(n.now().Round(0), time.Now()).UnixMilli()) // without the monotonic reading
		in.Durable = n.durable.Load()
		in.Stopping = n.released.Load()
		if n.alerts != nil {
			in.Alerted = n.alerts.Mark()
		}
		in.Kept = n.kept.Load() // before what was found: what was read before it is told with it
		n.mu.Lock()
		in.Found, n.found = n.found, nil
		in.Epoch, n.epoch = n.epoch, false
		in.Received, n.received, n.receivedBytes = n.received, nil, 0
		in.Order, n.order = n.order, nil
		in.Gone, n.gone = n.gone, nil
		in.Layouts, n.layouts = n.layouts, nil
		if len(n.replacements) > 0 {
			in.Replacement, n.replacements = n.replacements[0], n.replacements[1:]
		}
		n.mu.Unlock()
		if n.peers != nil {
			in.Ticks = n.clock.take(time.Now())
		}
		n.box.In(in)
	}
}

// collect takes what the box gives. It never waits for the disk, so entries
// that come during one fsync are written together by the next.
func (n *Node) collect() {
	for {
		select {
		case out, ok := <-n.box.Out():
			if !ok {
				n.boxStopped()
				return
			}
			n.take(out)
			if err := n.takeIsland(out); err != nil {
				n.stop(err)
				return
			}
		case <-n.box.Done():
			n.boxStopped()
			return
		case <-n.stopping:
			return
		}
	}
}

func (n *Node) boxStopped() {
	err := n.box.Err()
	if err == nil {
		err = errors.New("it ended without an error")
	}
	n.stop(fmt.Errorf("%w: %w", ErrDown, err))
}

func (n *Node) take(out wire.Out) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts.Add(out.Counts)
	if n.alerts != nil && len(out.Alerts) > 0 {
		n.alerts.Put(out.Alerts)
	}
	for _, r := range out.Replies {
		caller, known := n.waiting[r.ID]
		if !known {
			continue // a box that answers twice frees no second slot
		}
		delete(n.waiting, r.ID)
		<-n.slots
		if caller != nil {
			caller <- r
		}
	}
	if len(out.Append) > 0 {
		n.entries = append(n.entries, out.Append...)
		signal(n.pending)
	}
	if len(out.Reads)+len(out.Pages) > 0 || out.Checkpoint != nil {
		n.pages = append(n.pages, wire.Out{Reads: out.Reads, Pages: out.Pages, Checkpoint: out.Checkpoint})
		signal(n.asked)
	}
}

// takeIsland takes what is for other boxes, and of them.
func (n *Node) takeIsland(out wire.Out) error {
	if n.peers == nil {
		return nil
	}
	for _, s := range out.Sends {
		n.peers.Send(s)
	}
	if out.Island == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.report(out.Island)
}

// write makes entries durable and only then lets the box know. The first
// error stops the node: an fsync that failed is never tried again. It rests
// after each: entries that come meanwhile share the next fsync.
func (n *Node) write() {
	for {
		select {
		case <-n.pending:
		case <-n.stopping:
			return
		}
		n.mu.Lock()
		batch := n.entries
		n.entries = nil
		n.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		began := time.Now()
		if err := n.store.Append(batch); err != nil {
			n.stop(fmt.Errorf("node: writing the log: %w", err))
			return
		}
		n.durable.Store(batch[len(batch)-1].Index)
		signal(n.synced)
		time.Sleep(min(writeRests*time.Since(began), writeRestMax))
	}
}

// keep does what the box asks of its pages, one after the other: a read sees
// every page that was given before it, and is told before a checkpoint that
// was given after it.
func (n *Node) keep() {
	var pages []wire.Page // of a checkpoint that is not whole yet
	for {
		select {
		case <-n.asked:
		case <-n.stopping:
			return
		}
		n.mu.Lock()
		work := n.pages
		n.pages = nil
		n.mu.Unlock()
		for _, out := range work {
			if err := n.read(out.Reads); err != nil {
				n.stop(err)
				return
			}
			pages = append(pages, out.Pages...)
			if out.Checkpoint == nil {
				continue
			}
			// The log's entries go with it: their alerts could not be made again.
			if n.alerts != nil {
				n.alerts.Flush()
			}
			if err := n.store.Keep(pages, *out.Checkpoint); err != nil {
				n.stop(err)
				return
			}
			pages = nil
			n.kept.Store(out.Checkpoint.Serial)
		}
		signal(n.synced)
	}
}

func (n *Node) read(reads []wire.Read) error {
	var found []wire.Found
	for _, r := range reads {
		values, err := n.store.Read(r.Keys)
		if err != nil {
			return err
		}
		found = append(found, wire.Found{ID: r.ID, Values: values})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.found = append(n.found, found...)
	return nil
}

// NewEpoch has the box begin a new epoch now.
func (n *Node) NewEpoch() {
	n.mu.Lock()
	n.epoch = true
	n.mu.Unlock()
	signal(n.synced)
}

// Do puts one sealed request through the box. Beside the context's end it
// answers ErrBusy, ErrDown and ErrUnanswered.
func (n *Node) Do(ctx context.Context, sealed []byte) (wire.Reply, error) {
	if err := n.Err(); err != nil {
		return wire.Reply{}, err
	}
	select {
	case n.slots <- struct{}{}:
	default:
		return wire.Reply{}, ErrBusy
	}
	reply := make(chan wire.Reply, 1)
	n.mu.Lock()
	n.lastID++
	id := n.lastID
	n.waiting[id] = reply
	n.mu.Unlock()
	n.requests <- wire.Request{ID: id, Sealed: sealed}
	select {
	case r := <-reply:
		return r, nil
	case <-ctx.Done():
		n.leave(id)
		return wire.Reply{}, fmt.Errorf("%w: %w", ErrUnanswered, ctx.Err())
	case <-n.stopping:
		return wire.Reply{}, fmt.Errorf("%w: %w", ErrUnanswered, n.Err())
	}
}

// leave forgets the caller but keeps its slot until the box has answered:
// callers that give up at once must not pile work up in the box.
func (n *Node) leave(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.waiting[id]; known {
		n.waiting[id] = nil
	}
}

// stop ends the node; the first reason stays.
func (n *Node) stop(why error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return
	}
	n.err = why
	close(n.stopping)
}

// Release has the box answer whoever watches, and hold nobody any more: before
// a stop that waits for requests to end.
func (n *Node) Release() {
	n.released.Store(true)
	signal(n.synced)
}

// errClosed is the reason of a stop that was asked for.
var errClosed = fmt.Errorf("%w: it was closed", ErrDown)

// Close stops the node and waits until nothing is written any more. It
// closes neither the box nor the log. Callers of Do get ErrUnanswered.
func (n *Node) Close() {
	n.stop(errClosed)
	<-n.stopped
}

// Done is closed when the node has stopped, for whatever reason.
func (n *Node) Done() <-chan struct{} { return n.stopping }

// Err is nil while the node runs, and afterwards why it stopped.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Failed is Err, but nil where the stop was asked for by Close.
func (n *Node) Failed() error {
	if err := n.Err(); err != errClosed {
		return err
	}
	return nil
}

// InFlight is the number of requests inside the box.
func (n *Node) InFlight() int { return len(n.slots) }

// Durable is the index of the last durable entry.
func (n *Node) Durable() uint64 { return n.durable.Load() }

// Counts is what the box counted since the node was started.
func (n *Node) Counts() wire.Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts
}

// signal wakes the reader of c, which looks for itself what there is to do.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
