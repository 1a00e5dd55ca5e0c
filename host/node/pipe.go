package node

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// pipeStallMax is how long a box that runs may leave what it is sent unread.
const pipeStallMax = 30 * time.Second

// startFrameBytesMax holds any frame of a wire.Start.
const startFrameBytesMax = wire.DocumentBytesMax + wire.IslandBytesMax + wire.PlaceBytesMax + wire.SecretBytesMax + 1<<10

// Errors of a box behind a pipe; each is wrapped with what is known.
var (
	// ErrGarbled: what the box sent does not belong on the pipe.
	ErrGarbled = errors.New("node: the box sent what is no frame of ours")

	// ErrBoxEnded: the box's process ended, or left what it was sent unread,
	// and did not say why.
	ErrBoxEnded = errors.New("node: the box's process ended")
)

// BoxFault is why a box stopped, in its own words.
type BoxFault struct{ wire.Failed }

func (f *BoxFault) Error() string { return f.Message }

// PipeWriter is the node's end towards the box.
type PipeWriter interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

// Pipe is a Box on the other end of two pipes.
type Pipe struct {
	r     io.Reader
	w     PipeWriter
	ended func() string // how the process ended, asked once its pipe is closed
	walls []string

	mu      sync.Mutex // guards writes to w, and unsent
	unsent  error      // what ended the stream to the box, if not Close
	out     chan wire.Out
	closing chan struct{} // closed by Close
	once    sync.Once
	done    chan struct{} // closed after err was set
	err     error
}

// OpenPipe hands a box what it starts with and the whole log, and waits until
// it serves. Errors: a *BoxFault, ErrGarbled, ErrBoxEnded or that of the log.
// It closes nothing.
func OpenPipe(r io.Reader, w PipeWriter, start wire.Start, entries iter.Seq2[wire.Entry, error], ended func() string) (*Pipe, error) {
	p := &Pipe{r: r, w: w, ended: ended, out: make(chan wire.Out), closing: make(chan struct{}), done: make(chan struct{})}
	if err := p.tell(start, entries); err != nil {
		return nil, err
	}
	ready, err := wire.ReadFrame(r)
	if err != nil || ready.Kind == wire.FrameFailed {
		return nil, p.reason(ready, err)
	}
	told, err := wire.DecodeFrame[wire.Ready](ready)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	p.walls = told.Walls
	go p.read()
	return p, nil
}

// tell sends the start and the log. A box that refuses stops reading and says
// why: its word counts more than the write that failed.
func (p *Pipe) tell(start wire.Start, entries iter.Seq2[wire.Entry, error]) error {
	err := sendStart(p.w, start)
	var part wire.Entries
	bytes := 0
	for e, failed := range entries {
		if failed != nil {
			return failed
		}
		if err != nil {
			break
		}
		if len(part.Entries) == wire.FrameItemsMax || bytes+len(e.Bytes) > wire.EntryBytesMax {
			err = send(p.w, part)
			part, bytes = wire.Entries{}, 0
		}
		part.Entries = append(part.Entries, e)
		bytes += len(e.Bytes)
	}
	if err == nil {
		part.Whole = true
		err = send(p.w, part)
	}
	if err == nil || errors.Is(err, wire.ErrMalformed) {
		return err
	}
	last, readErr := wire.ReadFrame(p.r)
	return p.reason(last, readErr)
}

// sendStart leaves no copy of the HSM's secret in this process: whoever later
// reads its memory, by a fault of the relay or a core dump, has the HSM's
// folder beside it.
func sendStart(w io.Writer, start wire.Start) error {
	room := make([]byte, 0, startFrameBytesMax)
	defer func() { clear(room[:cap(room)]) }()
	frame, err := wire.AppendFrame(room, start)
	if err == nil {
		_, err = w.Write(frame)
	}
	return err
}

func send[M wire.Framed](w io.Writer, m M) error {
	frame, err := wire.AppendFrame(nil, m)
	if err == nil {
		_, err = w.Write(frame)
	}
	return err
}

// reason is why the box stopped, of the last frame that it sent.
func (p *Pipe) reason(f wire.Frame, err error) error {
	if errors.Is(err, wire.ErrMalformed) {
		return fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", ErrBoxEnded, p.ended())
	}
	failed, err := wire.DecodeFrame[wire.Failed](f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	return &BoxFault{failed}
}

// read takes what the box sends until it stops.
func (p *Pipe) read() {
	for {
		f, err := wire.ReadFrame(p.r)
		if err != nil || f.Kind == wire.FrameFailed {
			p.finish(p.reason(f, err))
			return
		}
		out, err := wire.DecodeFrame[wire.Out](f)
		if err != nil {
			p.finish(fmt.Errorf("%w: %w", ErrGarbled, err))
			return
		}
		select {
		case p.out <- out:
		case <-p.closing:
			p.finish(errClosed)
			return
		}
	}
}

// finish is called by read alone.
func (p *Pipe) finish(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing:
		why = errClosed
	default:
		if p.unsent != nil {
			why = fmt.Errorf("%w; before that, sending to it failed: %w", why, p.unsent)
		}
	}
	p.err = why
	close(p.done)
}

// In sends one In. It waits while the box is behind, and drops the input when
// the box has stopped or does not read any more; read then learns why.
func (p *Pipe) In(in wire.In) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frames, err := wire.AppendIn(nil, in)
	if err == nil {
		_ = p.w.SetWriteDeadline(time.Now().Add(pipeStallMax))
		_, err = p.w.Write(frames)
	}
	if err != nil && p.unsent == nil {
		// Half a frame may be out: nothing may follow it. The box ends at
		// the end of its stream, and read sees that.
		p.unsent = err
		_ = p.w.Close()
	}
}

// Out is what the box gives. It must be read.
func (p *Pipe) Out() <-chan wire.Out { return p.out }

// Done is closed when the box has stopped; Err then says why.
func (p *Pipe) Done() <-chan struct{} { return p.done }

// Err is why the box stopped, nil while it runs.
func (p *Pipe) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Walls is what the kernel gave to keep the box in, in the box's words.
func (p *Pipe) Walls() []string { return p.walls }

// Close orders the box to stop. It does not wait for it.
func (p *Pipe) Close() {
	p.once.Do(func() {
		close(p.closing)
		_ = p.w.Close()
	})
}
