package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// What a request that was taken to another node may come back with beside its
// reply. After ErrUnreachable and ErrBusy no box saw it; after ErrUnanswered
// one may have carried it out.
var (
	ErrUnreachable = errors.New("peer: the node can not be reached, or its box does not run")
	ErrBusy        = errors.New("peer: the node has too many requests in flight")
	ErrUnanswered  = errors.New("peer: no answer came")
)

// Box is another box of the island, and its node.
type Box struct {
	ID      wire.BoxID
	Name    string // for people
	Address string // HOST:PORT
	Pin     Pin
}

// Handler is the node's own side: what others send to it.
type Handler interface {
	// Receive takes a message for the box. It must not wait.
	Receive(wire.Received)
	// Gone tells that a box's node ended or was cut off: the lines to it and
	// from it broke. It must not wait.
	Gone(wire.BoxID)
	// Report is what the box of this node last told of its island; nil: nothing.
	// Peers show it to their operators, and believe none of it.
	Report() *wire.IslandReport
	// Carry puts a request through the box of this node, and no other, and
	// names the box that leads as far as this one knows. Errors:
	// ErrUnreachable, ErrBusy and ErrUnanswered.
	Carry(ctx context.Context, sealed []byte) (reply wire.Reply, leader wire.BoxID, err error)
}

// Config composes the lines of a node.
type Config struct {
	Fleet wire.FleetID
	Box   wire.BoxID // this node's
	Key   *Key
	Boxes []Box // the others, at first (Become)
	Log   *slog.Logger
}

// Peers are the other nodes of an island, seen from one.
type Peers struct {
	config  Config
	handler Handler
	refused *tally

	listener net.Listener
	ctx      context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	links    map[wire.BoxID]*link
	byPin    map[Pin]*Box
	incoming map[wire.BoxID]*incoming
	strange  []net.Conn // whose other end is not known yet, the oldest first
}

// New makes the lines of a node. Until Start nothing is sent.
func New(c Config) *Peers {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Peers{
		config: c, links: map[wire.BoxID]*link{}, byPin: map[Pin]*Box{},
		incoming: map[wire.BoxID]*incoming{}, refused: newTally(c.Log),
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	for _, b := range c.Boxes {
		p.add(b)
	}
	return p
}

// Start connects to the others, and takes their connections from l, which it
// closes in the end.
func (p *Peers) Start(l net.Listener, h Handler) {
	p.listener, p.handler = l, h
	p.running.Go(p.accept)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.links {
		p.running.Go(k.run)
	}
}

// Send sends a message on its way, or drops it: it never waits.
func (p *Peers) Send(s wire.Send) {
	if k := p.linkTo(s.To); k != nil {
		k.send(s.Bytes)
	}
}

// Ask takes a request to the node of a box and gives its answer, with the box
// that leads as far as that one knows. Errors beside the context's end, which
// is ErrUnanswered or ErrUnreachable: those of Handler.Carry.
func (p *Peers) Ask(ctx context.Context, to wire.BoxID, sealed []byte) (wire.Reply, wire.BoxID, error) {
	k := p.linkTo(to)
	if k == nil {
		return wire.Reply{}, wire.BoxID{}, fmt.Errorf("%w: no box %s is known here", ErrUnreachable, to)
	}
	return k.ask(ctx, sealed)
}

// Close ends every line, and waits until none is left.
func (p *Peers) Close() {
	p.mu.Lock()
	p.end()
	p.mu.Unlock()
	if p.listener != nil {
		p.listener.Close()
	}
	p.running.Wait()
}

// connect makes a line to a box.
func (p *Peers) connect(b *Box) (*stream, error) {
	ctx, cancel := context.WithTimeout(p.ctx, openWithin)
	defer cancel()
	var d net.Dialer // TCP_NODELAY and keep-alives are Go's default
	raw, err := d.DialContext(ctx, "tcp", b.Address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(timed{raw}, p.config.Key.tlsConfig(func(pin Pin) bool { return pin == b.Pin }))
	s := newStream(c)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	if err = c.HandshakeContext(ctx); err == nil {
		err = s.greet(p.hello(b.ID))
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return s, nil
}

// away is how long a link waits before its next try: more each time, and never
// as long as the other nodes do, which lost the same peer at the same moment.
func away(tries int, jitter float64) time.Duration {
	d := min(backoffFirst<<min(tries, 10), backoffMax)
	return d/2 + time.Duration(jitter*float64(d/2))
}
