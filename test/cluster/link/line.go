package link

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkBytesMax = 16 << 10
	queueChunks   = 256 // of a direction, on the way
	dialWithin    = 2 * time.Second
)

// Weather is what a line does to what it carries. The zero value is a fine day.
type Weather struct {
	Delay   time.Duration // one way
	Jitter  time.Duration // up to so much more, never overtaking
	Corrupt float64       // chance of a chunk to have one bit flipped
	Break   float64       // chance of a chunk to end its connection
}

// Line carries what one node says to another: a TCP proxy on an address of
// its own. Bytes keep their order, as TCP's do; while it is cut they wait, as
// TCP's wait for a retransmission.
type Line struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	ctx      context.Context
	cancel   context.CancelFunc
	all      sync.WaitGroup

	mu      sync.Mutex // guards what follows
	random  *rand.Rand
	weather Weather
	cut     chan struct{} // closed when the line is mended; nil while it is whole
	open    map[net.Conn]bool

	corrupted, broken, carried atomic.Int64
}

// NewLine carries connections from listener to where dial leads. The seed
// gives the line's dice.
func NewLine(listener net.Listener, dial func(context.Context) (net.Conn, error), seed uint64) *Line {
	l := &Line{listener: listener, dial: dial, random: rand.New(rand.NewPCG(seed, 1)), open: map[net.Conn]bool{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.all.Go(l.accept)
	return l
}

// Address is where the dialling node connects to.
func (l *Line) Address() string { return l.listener.Addr().String() }

// Set changes the weather from the next chunk on.
func (l *Line) Set(w Weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.weather = w
}

// Cut lets nothing pass, either way, until Mend.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut == nil {
		l.cut = make(chan struct{})
	}
}

// Mend undoes Cut: what waited goes on.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil {
		close(l.cut)
		l.cut = nil
	}
}

// Counts is what the line did: chunks carried, bits flipped, connections broken.
func (l *Line) Counts() (carried, corrupted, broken int64) {
	return l.carried.Load(), l.corrupted.Load(), l.broken.Load()
}

// Close ends the line and all that it carries.
func (l *Line) Close() {
	l.cancel()
	l.listener.Close()
	l.Mend()
	l.mu.Lock()
	for c := range l.open {
		c.Close()
	}
	l.mu.Unlock()
	l.all.Wait()
}

func (l *Line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.all.Go(func() { l.carry(near) })
	}
}

// carry joins one connection to the far node.
func (l *Line) carry(near net.Conn) {
	if !l.hold(near) {
		return
	}
	defer l.drop(near)
	if !l.whole() {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, dialWithin)
	far, err := l.dial(ctx)
	cancel()
	if err != nil || !l.hold(far) {
		return
	}
	defer l.drop(far)
	var both sync.WaitGroup
	both.Go(func() { l.oneWay(near, far) })
	both.Go(func() { l.oneWay(far, near) })
	both.Wait()
}

func (l *Line) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		c.Close()
		return false
	}
	l.open[c] = true
	return true
}

func (l *Line) drop(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// whole waits until the line is not cut; false: the line is closed.
func (l *Line) whole() bool {
	for {
		l.mu.Lock()
		cut := l.cut
		l.mu.Unlock()
		if cut == nil {
			return l.ctx.Err() == nil
		}
		select {
		case <-cut:
		case <-l.ctx.Done():
			return false
		}
	}
}

// chunk is bytes on their way; none: the sender has closed.
type chunk struct {
	bytes []byte
	due   time.Time
	end   bool // the line breaks here
}

// oneWay carries what from says to to. The two ends close together: a node
// keeps no half-open connection to another.
func (l *Line) oneWay(from, to net.Conn) {
	queue := make(chan chunk, queueChunks)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.deliver(queue, to)
		from.Close()
		to.Close()
		for range queue { // the reader must not wait for us
		}
	}()
	last := time.Time{}
	for {
		buffer := make([]byte, chunkBytesMax)
		n, err := from.Read(buffer)
		c := l.fate(buffer[:n], last)
		last = c.due
		if n > 0 {
			queue <- c
		}
		if err != nil || c.end {
			break
		}
	}
	close(queue)
	<-done
}

// fate is what the weather does to one chunk.
func (l *Line) fate(b []byte, last time.Time) chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := chunk{bytes: b, due: time.Now().Add(l.weather.Delay)}
	if l.weather.Jitter > 0 {
		c.due = c.due.Add(time.Duration(l.random.Int64N(int64(l.weather.Jitter))))
	}
	if c.due.Before(last) {
		c.due = last
	}
	if len(b) == 0 {
		return c
	}
	if l.random.Float64() < l.weather.Corrupt {
		b[l.random.IntN(len(b))] ^= 1 << l.random.IntN(8)
		l.corrupted.Add(1)
	}
	if l.random.Float64() < l.weather.Break {
		c.end = true
		l.broken.Add(1)
	}
	return c
}

// deliver writes what is due, in order.
func (l *Line) deliver(queue chan chunk, to net.Conn) {
	for c := range queue {
		if l.sleep(time.Until(c.due)) != nil || !l.whole() {
			return
		}
		if _, err := to.Write(c.bytes); err != nil || c.end {
			return
		}
		l.carried.Add(1)
	}
	l.whole() // a close does not pass a cut either
}

func (l *Line) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}
