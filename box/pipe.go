package box

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
)

// Child is what a box in its own process is made of, by whoever composes it.
type Child struct {
	In   io.Reader // from the node
	Out  io.Writer // to the node
	Rand io.Reader

	// Open opens the HSM that the node names: the last files of this process.
	Open func(wire.HSM) (hal.HAL, error)

	// Confine gives up for good what the box does not need any more, and
	// says what the kernel gave.
	Confine func() (walls []string, err error)
}

// fault is an error whose class the node is told.
type fault struct {
	class wire.Fault
	err   error
}

func (f fault) Error() string { return f.err.Error() }
func (f fault) Unwrap() error { return f.err }

// Serve is the life of a box's process: it opens its HSM, goes behind the
// wall, and only there reads the log and requests, which others wrote. It
// ends with nil where the node ended the stream, otherwise with what it also
// told the node.
func (c Child) Serve() error {
	err := c.serve()
	if err == nil {
		return nil
	}
	class := wire.FaultStopped
	if f, found := errors.AsType[fault](err); found {
		class = f.class
	}
	last, encodeErr := wire.AppendFrame(nil, wire.Failed{Fault: class, Message: sentence(err)})
	if encodeErr == nil {
		_, encodeErr = c.Out.Write(last)
	}
	return errors.Join(err, encodeErr)
}

func sentence(err error) string {
	s := strings.ToValidUTF8(err.Error(), "?")
	return strings.ToValidUTF8(s[:min(len(s), wire.FaultBytesMax)], "")
}

func (c Child) serve() error {
	start, err := wire.ReadMessage[wire.Start](c.In)
	if err != nil {
		return frameFault(err)
	}
	h, err := c.Open(start.HSM)
	clear(start.HSM.Secret)
	if errors.Is(err, hal.ErrSecret) {
		return fault{wire.FaultSecret, err}
	}
	if err != nil {
		return fault{wire.FaultHSM, err}
	}
	defer h.Close()
	walls, err := c.Confine()
	if err != nil {
		return fault{wire.FaultWall, err}
	}
	log := logReader{in: c.In}
	b, err := Open(Config{
		HAL: h, Rand: c.Rand, Document: start.Document, Island: start.Island,
		Entries: log.entries(), Workers: int(start.Workers),
	})
	if log.err != nil {
		err = errors.Join(frameFault(log.err), err)
	} else if err != nil {
		err = fault{wire.FaultLog, err}
	}
	if err != nil {
		return err
	}
	defer b.Close()
	ready, err := wire.AppendFrame(nil, wire.Ready{Walls: walls})
	if err == nil {
		_, err = c.Out.Write(ready)
	}
	if err != nil {
		return err
	}
	return c.carry(b)
}

// frameFault is what a stream that broke means. io.EOF too, before the box is
// ready: the node left in the middle of its own sentence.
func frameFault(err error) error {
	return fault{wire.FaultFrame, fmt.Errorf("box: the node's side of the pipe: %w", err)}
}

// logReader reads the log from the pipe.
type logReader struct {
	in  io.Reader
	err error // of the pipe, not of the log
}

func (l *logReader) entries() iter.Seq2[wire.Entry, error] {
	return func(yield func(wire.Entry, error) bool) {
		for {
			part, err := wire.ReadMessage[wire.Entries](l.in)
			if err != nil {
				l.err = err
				yield(wire.Entry{}, err)
				return
			}
			for _, e := range part.Entries {
				if !yield(e, nil) {
					return
				}
			}
			if part.Whole {
				return
			}
		}
	}
}

// carry moves frames until either side ends. The reader waits for nobody but
// the box's loop, and the loop waits for nobody: a node that does not read
// stops its own answers only.
func (c Child) carry(b *Box) error {
	broken := make(chan error, 1)
	go func() {
		broken <- c.takeIn(b)
		b.Close()
	}()
	for {
		select {
		case out := <-b.Out():
			frames, err := wire.AppendOut(nil, out)
			if err != nil {
				return err // ours: the node would refuse it
			}
			if _, err := c.Out.Write(frames); err != nil {
				return fmt.Errorf("box: the node does not read: %w", err)
			}
		case <-b.Done():
			if !errors.Is(b.Err(), ErrClosed) {
				return b.Err()
			}
			return <-broken
		}
	}
}

// takeIn gives the box what the node sends; nil at the end of the stream.
func (c Child) takeIn(b *Box) error {
	for {
		in, err := wire.ReadMessage[wire.In](c.In)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return frameFault(err)
		}
		b.In(in)
	}
}
