package box

import (
	"errors"
	"fmt"
	"io"
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
	disk := askedDisk{in: c.In, out: c.Out}
	b, err := Open(Config{
		HAL: h, Rand: c.Rand, Document: start.Document, Island: start.Island, Disk: &disk, Workers: int(start.Workers), Replacements: start.Replacements,
	})
	if disk.err != nil {
		err = errors.Join(frameFault(disk.err), err)
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

// askedDisk asks the node over the pipe while the box opens.
type askedDisk struct {
	in  io.Reader
	out io.Writer
	err error // of the pipe, not of what it carried
}

// ask writes frames and reads the answer to them.
func ask[M wire.Framed](d *askedDisk, frames []byte, err error) (answer M, _ error) {
	if err != nil {
		return answer, err // ours: the node would refuse it
	}
	if _, d.err = d.out.Write(frames); d.err == nil {
		answer, d.err = wire.ReadMessage[M](d.in)
	}
	return answer, d.err
}

func (d *askedDisk) Entries(after uint64) ([]wire.Entry, error) {
	frames, err := wire.AppendFrame(nil, wire.Want{After: after})
	answer, err := ask[wire.Entries](d, frames, err)
	return answer.Entries, err
}

func (d *askedDisk) Read(keys [][]byte) ([][]byte, error) {
	frames, err := wire.AppendOut(nil, wire.Out{Reads: []wire.Read{{ID: 1, Keys: keys}}})
	answer, err := ask[wire.In](d, frames, err)
	if err == nil && (len(answer.Found) != 1 || answer.Found[0].ID != 1) {
		d.err = errors.New("it does not answer the read")
	}
	if d.err != nil || err != nil {
		return nil, errors.Join(d.err, err)
	}
	return answer.Found[0].Values, nil
}

func (d *askedDisk) Keep(pages []wire.Page, c wire.Checkpoint) error {
	frames, err := wire.AppendOut(nil, wire.Out{Pages: pages, Checkpoint: &c})
	answer, err := ask[wire.In](d, frames, err)
	if err == nil && answer.Kept != c.Serial {
		d.err = errors.New("it does not keep the checkpoint")
	}
	return errors.Join(d.err, err)
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
