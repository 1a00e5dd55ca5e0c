package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/protocol/wire"
)

// link keeps a line to one peer: what this node has to say to it.
type link struct {
	peers *Peers
	box   Box
	ctx   context.Context // ends with the peers, or when the box is none any more
	end   context.CancelFunc
	counts

	mu      sync.Mutex // guards what follows
	line    *line      // nil: not connected
	since   time.Time  // of that
	failure error      // of the last try, or the last line
	report  *wire.IslandReport
	heard   time.Time // when report came
}

// counts is what was counted of one peer since the start.
type counts struct {
	sent, sentBytes, dropped         atomic.Uint64 // messages to it
	received, receivedBytes          atomic.Uint64 // messages of it
	asked, served, connects, answers atomic.Uint64
	roundTrip                        atomic.Int64 // the last one, in nanoseconds
}

// run keeps the line up until the end.
func (k *link) run() {
	for tries := 0; k.ctx.Err() == nil; tries++ {
		s, err := k.peers.connect(&k.box)
		if err != nil {
			k.lost(err)
		} else {
			tries = 0
			k.lost(k.hold(s))
		}
		select {
		case <-k.ctx.Done():
		case <-time.After(away(tries, rand.Float64())):
		}
	}
}

// hold uses a line until it breaks, and says why it did.
func (k *link) hold(s *stream) error {
	l := &line{stream: s, counts: &k.counts, wake: make(chan struct{}, 1), waiting: map[uint64]*ask{}}
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.NetConn().Close() })
	defer stop()
	k.connects.Add(1)
	k.mu.Lock()
	k.line, k.since = l, time.Now()
	k.mu.Unlock()
	k.peers.config.Log.Info("connected to a peer", "box", k.box.ID.String(), "name", k.box.Name, "address", k.box.Address)

	var ended sync.WaitGroup
	var wrote error
	ended.Go(func() {
		wrote = l.write(ctx, k.peers.handler.Report)
		cancel()
	})
	read := l.read()
	cancel()
	ended.Wait()
	if wrote == nil || errors.Is(wrote, context.Canceled) { // it ended for the reader
		wrote = read
	}
	l.end(wrote)
	return wrote
}

// lost notes that there is no line, once for each reason.
func (k *link) lost(why error) {
	k.mu.Lock()
	was, before := k.line != nil, k.failure
	k.line, k.failure = nil, why
	if was || k.since.IsZero() {
		k.since = time.Now()
	}
	k.mu.Unlock()
	if was && !k.peers.comes(k.box.ID) {
		k.peers.gone(k.box.ID)
	}
	if k.ctx.Err() == nil && (was || before == nil || before.Error() != why.Error()) {
		k.peers.config.Log.Warn("not connected to a peer; it is tried again", "box", k.box.ID.String(), "name", k.box.Name, "address", k.box.Address, "error", why)
	}
}

func (k *link) up() *line {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.line
}

func (k *link) send(message []byte) {
	if l := k.up(); l == nil || len(message) > wire.PeerBytesMax || !l.send(message) {
		k.dropped.Add(1)
	}
}

func (k *link) ask(ctx context.Context, sealed []byte) (wire.Reply, wire.BoxID, error) {
	l := k.up()
	if l == nil {
		return wire.Reply{}, wire.BoxID{}, fmt.Errorf("%w: box %s at %s", ErrUnreachable, k.box.ID, k.box.Address)
	}
	k.asked.Add(1)
	return l.ask(ctx, sealed)
}

// line is one connection to a peer.
type line struct {
	*stream
	counts *counts
	wake   chan struct{}      // tells the writer that something waits
	told   *wire.IslandReport // the last one, of the writer alone

	mu       sync.Mutex // guards what follows
	ended    error
	lastID   uint64
	messages [][]byte // not yet written, the oldest first
	bytes    int      // of them
	asks     []*ask   // not yet written
	waiting  map[uint64]*ask
	pings    uint64
	pingedAt time.Time // the last ping left; zero: it was answered
}

// ask is a request on its way.
type ask struct {
	id     uint64
	ctx    context.Context
	sealed []byte
	sent   bool // it may have left
	answer chan answer
}

// send says whether it took the message. Of those that wait the oldest goes:
// Raft sends anew what it still wants said.
func (l *line) send(message []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return false
	}
	l.messages = append(l.messages, message)
	l.bytes += len(message)
	for len(l.messages) > messagesMax || l.bytes > messagesBytesMax {
		l.bytes -= len(l.messages[0])
		l.messages[0] = nil
		l.messages = l.messages[1:]
		l.counts.dropped.Add(1)
	}
	signal(l.wake)
	return true
}

func (l *line) ask(ctx context.Context, sealed []byte) (wire.Reply, wire.BoxID, error) {
	a := &ask{ctx: ctx, sealed: sealed, answer: make(chan answer, 1)}
	if err := l.enter(a); err != nil {
		return wire.Reply{}, wire.BoxID{}, err
	}
	select {
	case got := <-a.answer:
		return got.reply, got.leader, got.err
	case <-ctx.Done():
		err := ErrUnreachable
		if l.leave(a) {
			err = ErrUnanswered
		}
		return wire.Reply{}, wire.BoxID{}, fmt.Errorf("%w: %w", err, ctx.Err())
	}
}

func (l *line) enter(a *ask) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, l.ended)
	case len(l.waiting) >= AsksMax:
		return ErrBusy
	}
	l.lastID++
	a.id = l.lastID
	l.waiting[a.id] = a
	l.asks = append(l.asks, a)
	signal(l.wake)
	return nil
}

// leave gives an ask up and says whether it may have left.
func (l *line) leave(a *ask) (sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, a.id)
	return a.sent
}

// end lets everybody know whose answer will not come.
func (l *line) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = why
	for _, a := range l.waiting {
		err := ErrUnreachable
		if a.sent {
			err = ErrUnanswered
		}
		a.answer <- answer{err: fmt.Errorf("%w: the line broke: %w", err, why)}
	}
	l.counts.dropped.Add(uint64(len(l.messages)))
	l.waiting, l.asks, l.messages = nil, nil, nil
}

// take gives what is to be written next: every request, and messages up to a
// batch, so that no request waits behind a stream of them.
func (l *line) take() (asks []*ask, messages [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asks {
		if l.waiting[a.id] == a {
			a.sent = true
			asks = append(asks, a)
		}
	}
	l.asks = nil
	n, bytes := 0, 0
	for n < len(l.messages) && (n == 0 || bytes+len(l.messages[n]) <= batchBytesMax) {
		bytes += len(l.messages[n])
		n++
	}
	messages, l.messages = l.messages[:n:n], l.messages[n:]
	l.bytes -= bytes
	return asks, messages
}

// write sends what waits, and now and then a ping and the box's report, until
// the line breaks.
func (l *line) write(ctx context.Context, report func() *wire.IslandReport) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		asks, messages := l.take()
		for _, a := range asks {
			if err := l.writeRequest(a); err != nil {
				return err
			}
		}
		for _, m := range messages {
			if err := l.stream.write(kindMessage, m); err != nil {
				return err
			}
			l.counts.sent.Add(1)
			l.counts.sentBytes.Add(uint64(len(m)))
		}
		if len(asks)+len(messages) > 0 {
			continue
		}
		if err := l.w.Flush(); err != nil {
			return err
		}
		select {
		case <-l.wake:
		case now := <-ping.C:
			if err := l.ping(now); err != nil {
				return err
			}
			if err := l.tell(report()); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *line) writeRequest(a *ask) error {
	var header [requestHeaderBytes]byte
	binary.BigEndian.PutUint64(header[:], a.id)
	patience := time.Minute
	if deadline, set := a.ctx.Deadline(); set {
		patience = min(patience, max(0, time.Until(deadline)))
	}
	binary.BigEndian.PutUint32(header[8:], uint32(patience.Milliseconds()))
	return l.stream.write(kindRequest, header[:], a.sealed)
}

// ping asks for the round trip, unless the last one is still on its way.
func (l *line) ping(now time.Time) error {
	l.mu.Lock()
	waits := !l.pingedAt.IsZero()
	if !waits {
		l.pings++
		l.pingedAt = now
	}
	number := binary.BigEndian.AppendUint64(nil, l.pings)
	l.mu.Unlock()
	if waits {
		number = nothing[:]
	}
	return l.stream.write(kindPing, number)
}

// tell sends the box's report, where it is another one than before.
func (l *line) tell(r *wire.IslandReport) error {
	if r == nil || r == l.told {
		return nil
	}
	b, err := wire.Encode(r)
	if err != nil || len(b) > reportBytesMax {
		return nil // it is for an operator's eyes, and not worth a line
	}
	l.told = r
	return l.stream.write(kindReport, b)
}

// nothing is a ping that wants no pong: it shows that this end lives.
var nothing [8]byte

// read takes what the peer answers, until the line breaks.
func (l *line) read() error {
	for {
		k, b, err := l.stream.read()
		if err != nil {
			return err
		}
		switch k {
		case kindPing: // it lives
		case kindPong:
			l.pong(binary.BigEndian.Uint64(b))
		case kindAnswer:
			id, got, err := parseAnswer(b)
			if err != nil {
				return err
			}
			l.answered(id, got)
		default:
			return fmt.Errorf("%w: kind %d does not belong on this way", ErrFrame, k)
		}
	}
}

func (l *line) pong(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number == l.pings && !l.pingedAt.IsZero() {
		l.counts.roundTrip.Store(int64(time.Since(l.pingedAt)))
		l.pingedAt = time.Time{}
	}
}

// answered hands an answer to who waits for it; nobody may do so any more.
func (l *line) answered(id uint64, got answer) {
	l.mu.Lock()
	a := l.waiting[id]
	delete(l.waiting, id)
	l.mu.Unlock()
	if a != nil {
		l.counts.answers.Add(1)
		a.answer <- got
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
