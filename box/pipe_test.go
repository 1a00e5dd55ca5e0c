package box

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/vault/hal"
)

// child is a box's process without the process: its streams, and its end.
type child struct {
	t     *testing.T
	rig   *rig
	to    *io.PipeWriter
	from  *io.PipeReader
	ended chan error
}

var errWall = errors.New("no wall here")

func newChild(t *testing.T, change func(*Child)) *child {
	t.Helper()
	r := newRig(t)
	in, to := io.Pipe()
	from, out := io.Pipe()
	c := &child{t: t, rig: r, to: to, from: from, ended: make(chan error, 1)}
	serve := Child{
		In: in, Out: out, Rand: rand.Reader,
		Open:    func(wire.HSM) (hal.HAL, error) { return r.hal, nil },
		Confine: func() ([]string, error) { return []string{"a wall"}, nil },
	}
	if change != nil {
		change(&serve)
	}
	go func() {
		err := serve.Serve()
		in.CloseWithError(io.ErrClosedPipe)
		out.Close()
		c.ended <- err
	}()
	return c
}

func (c *child) start() wire.Start {
	return wire.Start{
		HSM:      wire.HSM{Provider: "soft", Place: "/hsm", Secret: wire.Secret("passphrase")},
		Document: c.rig.config.Document, Island: c.rig.config.Island, Workers: 1,
	}
}

func sendTo[M wire.Framed](c *child, m M) {
	c.t.Helper()
	b, err := wire.AppendFrame(nil, m)
	must(c.t, err)
	_, err = c.to.Write(b)
	must(c.t, err)
}

func (c *child) serves() {
	c.t.Helper()
	sendTo(c, c.start())
	ready, err := wire.DecodeFrame[wire.Ready](c.opens(disk.New()))
	if err != nil || len(ready.Walls) != 1 {
		c.t.Fatalf("%v, %v", ready, err)
	}
}

// opens answers what the box asks while it opens, and gives the first frame
// that asks nothing.
func (c *child) opens(d *disk.Disk) wire.Frame {
	c.t.Helper()
	var pages []wire.Page
	for {
		f, err := wire.ReadFrame(c.from)
		must(c.t, err)
		switch f.Kind {
		case wire.FrameWant:
			want, err := wire.DecodeFrame[wire.Want](f)
			must(c.t, err)
			entries, err := d.Entries(want.After)
			must(c.t, err)
			sendTo(c, wire.Entries{Entries: entries})
		case wire.FrameOut:
			out, err := wire.DecodeFrame[wire.Out](f)
			must(c.t, err)
			pages = append(pages, out.Pages...)
			if out.Checkpoint == nil && len(out.Reads) == 0 {
				continue
			}
			out.Pages = pages
			var in wire.In
			d.Serve(out, &in)
			sendTo(c, in)
		default:
			return f
		}
	}
}

// fails awaits the last frame, the end of the stream and of the box.
func (c *child) fails(want wire.Fault) error {
	c.t.Helper()
	f, err := wire.ReadFrame(c.from)
	for err == nil && f.Kind != wire.FrameFailed { // what it asked before
		f, err = wire.ReadFrame(c.from)
	}
	must(c.t, err)
	failed, err := wire.DecodeFrame[wire.Failed](f)
	if err != nil || failed.Fault != want || failed.Message == "" {
		c.t.Fatalf("%+v, %v; want %s", failed, err, want)
	}
	if _, err := wire.ReadFrame(c.from); err != io.EOF {
		c.t.Fatalf("after its last word: %v", err)
	}
	return <-c.ended
}

func TestChildServes(t *testing.T) {
	c := newChild(t, nil)
	c.serves()
	sealed, exchange := c.rig.seal("anna", wire.First{Status: &wire.StatusRequest{}})
	sendTo(c, wire.In{NowMillis: now, Requests: []wire.Request{{ID: 5, Sealed: sealed}, {ID: 6, Sealed: []byte("no frame")}}})
	replies := map[uint64]wire.Reply{}
	for len(replies) < 2 {
		out, err := wire.ReadMessage[wire.Out](c.from)
		must(t, err)
		for _, r := range out.Replies {
			replies[r.ID] = r
		}
	}
	if _, err := exchange.OpenAnswer(replies[5].Sealed); err != nil {
		t.Fatal(err)
	}
	if replies[6].Refused == "" {
		t.Fatalf("%+v", replies[6])
	}
	c.to.Close() // the order to stop
	if err := <-c.ended; err != nil {
		t.Fatal(err)
	}
}

func TestChildNamesEveryFault(t *testing.T) {
	t.Run("secret", func(t *testing.T) {
		c := newChild(t, func(c *Child) { c.Open = func(wire.HSM) (hal.HAL, error) { return nil, hal.ErrSecret } })
		sendTo(c, c.start())
		if err := c.fails(wire.FaultSecret); !errors.Is(err, hal.ErrSecret) {
			t.Fatal(err)
		}
	})
	t.Run("hsm", func(t *testing.T) {
		c := newChild(t, func(c *Child) { c.Open = func(wire.HSM) (hal.HAL, error) { return nil, hal.ErrTorn } })
		sendTo(c, c.start())
		c.fails(wire.FaultHSM)
	})
	t.Run("wall", func(t *testing.T) {
		c := newChild(t, func(c *Child) { c.Confine = func() ([]string, error) { return nil, errWall } })
		sendTo(c, c.start())
		if err := c.fails(wire.FaultWall); !errors.Is(err, errWall) {
			t.Fatal(err)
		}
	})
	t.Run("island", func(t *testing.T) {
		c := newChild(t, nil)
		s := c.start()
		s.Island = bytes.Clone(s.Island)
		s.Island[len(s.Island)-1] ^= 1
		sendTo(c, s)
		c.fails(wire.FaultLog)
	})
	t.Run("log", func(t *testing.T) {
		c := newChild(t, nil)
		sendTo(c, c.start())
		d := disk.New()
		d.Written = []wire.Entry{{Index: 1, Bytes: []byte("not sealed by us")}}
		failed, err := wire.DecodeFrame[wire.Failed](c.opens(d))
		if err != nil || failed.Fault != wire.FaultLog {
			t.Fatal(failed, err)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		c := newChild(t, nil)
		c.serves()
		second := c.rig.registration(func(sealed []byte) []byte {
			sendTo(c, wire.In{NowMillis: now, Requests: []wire.Request{{ID: 1, Sealed: sealed}}})
			out, err := wire.ReadMessage[wire.Out](c.from)
			must(t, err)
			return out.Replies[0].Sealed
		})
		sendTo(c, wire.In{NowMillis: now, Requests: []wire.Request{{ID: 2, Sealed: second}}})
		out, err := wire.ReadMessage[wire.Out](c.from)
		must(t, err)
		close(c.rig.hal.broken)
		sendTo(c, wire.In{NowMillis: now, Durable: out.Append[0].Index})
		c.fails(wire.FaultStopped)
	})
}

// The secret is wiped when the HSM is open: what the box reads later, from
// whomever, finds none.
func TestChildForgetsTheSecret(t *testing.T) {
	var held wire.Secret
	c := newChild(t, nil)
	real := c.rig.hal
	c = newChild(t, func(c *Child) {
		c.Open = func(h wire.HSM) (hal.HAL, error) { held = h.Secret; return real, nil }
		c.Confine = func() ([]string, error) {
			if !bytes.Equal(held, make([]byte, len("passphrase"))) {
				return nil, errors.New("the secret is still there")
			}
			return nil, errWall
		}
	})
	sendTo(c, c.start())
	if err := c.fails(wire.FaultWall); !errors.Is(err, errWall) {
		t.Fatal(err)
	}
}

// Garbled, oversized and misplaced frames end the box, at whatever point.
func TestChildEndsAtGarbledFrames(t *testing.T) {
	garbled := map[string][]byte{
		"noise":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"oversized":        {0xff, 0xff, 0xff, 0xff, wire.PipeVersion, byte(wire.FrameIn)},
		"another version":  {0, 0, 0, 0, 9, byte(wire.FrameIn)},
		"a frame of ours":  {0, 0, 0, 0, wire.PipeVersion, byte(wire.FrameOut)},
		"an empty message": {0, 0, 0, 0, wire.PipeVersion, byte(wire.FrameIn)},
	}
	points := map[string]func(*child){
		"first": func(*child) {},
		"log": func(c *child) {
			sendTo(c, c.start())
			_, err := wire.ReadMessage[wire.Out](c.from) // it asks for its checkpoint
			must(c.t, err)
		},
		"served": (*child).serves,
	}
	for point, reach := range points {
		for name, b := range garbled {
			t.Run(point+"/"+name, func(t *testing.T) {
				c := newChild(t, nil)
				reach(c)
				go c.to.Write(b) // the box may not read all of it
				if err := c.fails(wire.FaultFrame); !errors.Is(err, wire.ErrMalformed) {
					t.Fatal(err)
				}
			})
		}
		t.Run(point+"/cut", func(t *testing.T) {
			c := newChild(t, nil)
			reach(c)
			_, err := c.to.Write([]byte{0, 0, 0, 9, wire.PipeVersion})
			must(t, err)
			c.to.Close()
			if err := c.fails(wire.FaultFrame); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
		})
	}
	t.Run("misplaced", func(t *testing.T) {
		c := newChild(t, nil)
		c.serves()
		go sendTo(c, c.start()) // a second start: another HSM, another fleet
		c.fails(wire.FaultFrame)
	})
}

// A node that leaves before the box serves is not an order to stop.
func TestChildOfANodeThatLeft(t *testing.T) {
	c := newChild(t, nil)
	sendTo(c, c.start())
	c.to.Close()
	c.fails(wire.FaultFrame)
}

// FuzzChild: whatever the node sends, the box ends with a fault of a name.
func FuzzChild(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		c := Child{
			In: bytes.NewReader(b), Out: &out, Rand: rand.Reader,
			Open:    func(wire.HSM) (hal.HAL, error) { return nil, hal.ErrSecret },
			Confine: func() ([]string, error) { t.Fatal("behind the wall without an HSM"); return nil, nil },
		}
		if c.Serve() == nil {
			t.Fatal("it ended well without having served")
		}
		if _, err := wire.ReadMessage[wire.Failed](&out); err != nil {
			t.Fatal(err)
		}
	})
}
