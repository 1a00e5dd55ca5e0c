package peer

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// accept takes connections until the listener is closed.
func (p *Peers) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) || p.ctx.Err() != nil {
			return
		}
		if err != nil { // no descriptor is left, say
			p.config.Log.Warn("a peer's connection could not be taken", "error", err)
			select {
			case <-p.ctx.Done():
			case <-time.After(backoffFirst):
			}
			continue
		}
		p.running.Go(func() { p.take(c) })
	}
}

// take brings a connection from a stranger's to a peer's, and serves it.
func (p *Peers) take(c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(p.ctx, func() { c.Close() })
	defer stop()
	s, k, err := p.meet(c)
	if err != nil {
		if p.ctx.Err() == nil {
			p.refused.add(err, c.RemoteAddr())
		}
		return
	}
	in := &incoming{stream: s, link: k, handler: p.handler, wake: make(chan struct{}, 1), serving: make(chan struct{}, AsksMax)}
	in.ctx, in.cancel = context.WithCancel(p.ctx)
	defer in.cancel()
	if before := p.replace(k.box.ID, in); before != nil {
		before.NetConn().Close() // the peer began anew; it sends nothing there any more
	}
	err = in.serve()
	p.remove(k.box.ID, in)
	if errors.Is(err, ErrFrame) {
		p.refused.add(err, c.RemoteAddr())
	}
}

// meet is the handshake, and both hellos.
func (p *Peers) meet(c net.Conn) (*stream, *link, error) {
	p.enter(c)
	defer p.leave(c)
	ctx, cancel := context.WithTimeout(p.ctx, openWithin)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	t := tls.Server(timed{c}, p.config.Key.tlsConfig(func(pin Pin) bool { return p.pinned(pin) != nil }))
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	b := p.boxOf(t.ConnectionState())
	if b == nil {
		return nil, nil, ErrStranger
	}
	s := newStream(t)
	if err := s.greet(p.hello(b.ID)); err != nil {
		return nil, nil, fmt.Errorf("box %s at %s: %w", b.ID, c.RemoteAddr(), err)
	}
	if !stop() {
		return nil, nil, ctx.Err()
	}
	k := p.linkTo(b.ID)
	if k == nil || k.box != *b { // it is none any more, since a moment ago
		return nil, nil, ErrStranger
	}
	return s, k, nil
}

// enter counts a connection whose other end is not known yet. Where there are
// too many, the oldest goes.
//
// The attack that it stops: somebody opens connections and says nothing; a peer
// finishes its handshake in a moment, and is never the oldest for long.
func (p *Peers) enter(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.strange) == handshakeMax {
		p.strange[0].Close()
		p.strange = p.strange[1:]
	}
	p.strange = append(p.strange, c)
}

func (p *Peers) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strange = slices.DeleteFunc(p.strange, func(o net.Conn) bool { return o == c })
}

func (p *Peers) replace(b wire.BoxID, in *incoming) (before *incoming) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[b] != in.link {
		return in // it is none any more, since a moment ago
	}
	before = p.incoming[b]
	p.incoming[b] = in
	return before
}

func (p *Peers) remove(b wire.BoxID, in *incoming) {
	p.mu.Lock()
	last := p.incoming[b] == in
	if last {
		delete(p.incoming, b)
	}
	p.mu.Unlock()
	if last && in.link.up() == nil {
		p.gone(b)
	}
}

// gone tells of a peer whose lines broke, both ways: a connection that somebody
// garbled ends alone, those of a process that ended all end.
func (p *Peers) gone(b wire.BoxID) {
	if p.ctx.Err() == nil {
		p.handler.Gone(b)
	}
}

// comes tells whether a peer holds a line to here.
func (p *Peers) comes(b wire.BoxID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.incoming[b] != nil
}

// incoming is a line that a peer made: what it has to say to this node.
type incoming struct {
	*stream
	link    *link // the way back, where its counts are
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	serving chan struct{} // a token for each request until its answer was written
	wake    chan struct{}

	mu      sync.Mutex // guards what follows
	answers []answered // not yet written
	pong    uint64     // not yet written, 0 for none
}

type answered struct {
	id uint64
	answer
	held bool // it holds a token of serving
}

// serve takes what the peer sends until the line breaks, and says why it did.
func (in *incoming) serve() error {
	var running sync.WaitGroup
	running.Go(func() {
		in.write()
		in.NetConn().Close()
	})
	err := in.read(&running)
	in.cancel()
	in.NetConn().Close()
	running.Wait()
	return err
}

func (in *incoming) read(running *sync.WaitGroup) error {
	for {
		k, b, err := in.stream.read()
		if err != nil {
			return err
		}
		switch k {
		case kindMessage:
			in.link.received.Add(1)
			in.link.receivedBytes.Add(uint64(len(b)))
			in.handler.Receive(wire.Received{From: in.link.box.ID, Bytes: b})
		case kindRequest:
			if err := in.request(b, running); err != nil {
				return err
			}
		case kindReport:
			in.link.heardOf(b)
		case kindPing:
			in.mu.Lock()
			in.pong = binary.BigEndian.Uint64(b)
			in.mu.Unlock()
			signal(in.wake)
		default:
			return fmt.Errorf("%w: kind %d does not belong on this way", ErrFrame, k)
		}
	}
}

// request has a request carried out beside the others. A peer that has more of
// them on their way than it may is told so; one that does not listen loses the
// line.
func (in *incoming) request(b []byte, running *sync.WaitGroup) error {
	id := binary.BigEndian.Uint64(b)
	patience := time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Millisecond
	select {
	case in.serving <- struct{}{}:
	default:
		if !in.reply(answered{id: id, answer: answer{err: ErrBusy}}) {
			return fmt.Errorf("%w: requests without end, and their answers are not read", ErrFrame)
		}
		return nil
	}
	in.link.served.Add(1)
	running.Go(func() {
		ctx, cancel := context.WithTimeout(in.ctx, patience)
		defer cancel()
		a := answered{id: id, held: true}
		a.reply, a.leader, a.err = in.handler.Carry(ctx, b[requestHeaderBytes:])
		in.reply(a)
	})
	return nil
}

// reply has an answer written, and says whether as few wait as may.
func (in *incoming) reply(a answered) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.answers = append(in.answers, a)
	signal(in.wake)
	return len(in.answers) <= 2*AsksMax
}

// write sends answers and pongs, and shows now and then that this end lives.
func (in *incoming) write() error {
	alive := time.NewTicker(pingEvery)
	defer alive.Stop()
	for {
		in.mu.Lock()
		answers, pong := in.answers, in.pong
		in.answers, in.pong = nil, 0
		in.mu.Unlock()
		if err := in.writeAll(answers, pong); err != nil {
			return err
		}
		select {
		case <-in.wake:
		case <-alive.C:
			if err := in.stream.write(kindPing, nothing[:]); err != nil {
				return err
			}
		case <-in.ctx.Done():
			return in.ctx.Err()
		}
	}
}

func (in *incoming) writeAll(answers []answered, pong uint64) error {
	for _, a := range answers {
		header, body := a.parts(a.id)
		err := in.stream.write(kindAnswer, header[:], body)
		if a.held {
			<-in.serving
		}
		if err != nil {
			return err
		}
	}
	if pong != 0 {
		if err := in.stream.write(kindPong, binary.BigEndian.AppendUint64(nil, pong)); err != nil {
			return err
		}
	}
	return in.w.Flush()
}
