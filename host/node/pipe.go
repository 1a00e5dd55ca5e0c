package node

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// pipeStallMax is how long a box that runs may leave what it is sent unread.
const pipeStallMax = 30 * time.Second

// startFrameBytesMax holds any frame of a wire.Start.
const startFrameBytesMax = wire.DocumentBytesMax + wire.IslandBytesMax + wire.PlaceBytesMax + wire.SecretBytesMax +
	wire.ReplacementsMax*wire.ReplacementBytesMax + 1<<10

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

// OpenPipe hands a box what it starts with, gives it what it asks of the disk,
// and waits until it serves. Errors: a *BoxFault, ErrGarbled, ErrBoxEnded or
// that of the disk.
// It closes nothing.
func OpenPipe(r io.Reader, w PipeWriter, start wire.Start, disk wire.Disk, ended func() string) (*Pipe, error) {
	p := &Pipe{r: r, w: w, ended: ended, out: make(chan wire.Out), closing: make(chan struct{}), done: make(chan struct{})}
	told, err := p.open(start, disk)
	if err != nil {
		return nil, err
	}
	p.walls = told.Walls
	go p.read()
	return p, nil
}

// open sends the start and does what the box asks for until it is ready. A box
// that refuses stops reading and says why: its word counts more than the write
// that failed.
func (p *Pipe) open(start wire.Start, disk wire.Disk) (ready wire.Ready, err error) {
	answer, err := startFrame(start)
	if err != nil {
		return ready, err
	}
	asked := asked{disk: disk}
	for {
		var unsent error
		if len(answer) > 0 {
			_, unsent = p.w.Write(answer)
			clear(answer[:cap(answer)])
		}
		f, err := wire.ReadFrame(p.r)
		switch {
		case err != nil || f.Kind == wire.FrameFailed:
			return ready, p.reason(f, err)
		case unsent != nil:
			return ready, fmt.Errorf("%w: sending to it failed: %w", ErrBoxEnded, unsent)
		case f.Kind == wire.FrameReady:
			if ready, err = wire.DecodeFrame[wire.Ready](f); err != nil {
				err = fmt.Errorf("%w: %w", ErrGarbled, err)
			}
			return ready, err
		}
		if answer, err = asked.answer(f); err != nil {
			return ready, err
		}
	}
}

// startFrame is the start's frame, in memory that the caller clears.
//
// The attack that it stops: whoever later reads this process's memory, by a
// fault of the relay or a core dump, finds the HSM's secret, and has the HSM's
// folder beside it.
func startFrame(start wire.Start) ([]byte, error) {
	return wire.AppendFrame(make([]byte, 0, startFrameBytesMax), start)
}

// asked answers what a box asks while it opens.
type asked struct {
	disk  wire.Disk
	pages []wire.Page // of a checkpoint that is not whole yet
}

// answer gives the frames of an answer; none to a part of a checkpoint.
func (a *asked) answer(f wire.Frame) ([]byte, error) {
	if f.Kind == wire.FrameWant {
		want, err := wire.DecodeFrame[wire.Want](f)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrGarbled, err)
		}
		entries, err := a.disk.Entries(want.After)
		if err != nil {
			return nil, err
		}
		return wire.AppendFrame(nil, wire.Entries{Entries: entries})
	}
	out, err := wire.DecodeFrame[wire.Out](f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	var in wire.In
	for _, r := range out.Reads {
		values, err := a.disk.Read(r.Keys)
		if err != nil {
			return nil, err
		}
		in.Found = append(in.Found, wire.Found{ID: r.ID, Values: values})
	}
	a.pages = append(a.pages, out.Pages...)
	if out.Checkpoint != nil {
		if err := a.disk.Keep(a.pages, *out.Checkpoint); err != nil {
			return nil, err
		}
		a.pages, in.Kept = nil, out.Checkpoint.Serial
	} else if len(out.Reads) == 0 {
		return nil, nil
	}
	return wire.AppendFrame(nil, in)
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
