package box

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/disk"
	"strongroom/test/soak"
	"strongroom/vault/hal"
)

// flipStride is how many bytes of the pipe an everyday run steps over.
const flipStride = 61

// frozen is an HSM whose memory stays as it is, and which outlives the boxes
// that close it: each box begins where the one before did.
type frozen struct{ hal.HAL }

func (frozen) Close() error             { return nil }
func (frozen) WriteMemory([]byte) error { return nil }

// conversation is all that a node says to a box: the start, log and pages with
// a record in them, and a recovery's first trip, which the box charges. Guarded
// are its parts that are not the node's to choose.
func conversation(t *testing.T, r *rig) (whole []byte, guarded [][]byte) {
	t.Helper()
	d := disk.New()
	r.config.Disk = d
	b, err := Open(r.config)
	must(t, err)
	say := func(sealed []byte) []byte {
		b.In(wire.In{NowMillis: now, Requests: []wire.Request{{ID: 1, Sealed: sealed}}})
		for {
			out := <-b.Out()
			must(t, d.Append(out.Append))
			in := wire.In{NowMillis: now, Durable: d.Last()}
			d.Serve(out, &in)
			b.In(in)
			if len(out.Replies) > 0 {
				return out.Replies[0].Sealed
			}
		}
	}
	say(r.registration(say))
	sealed, exchange := r.seal("anna", wire.First{Status: &wire.StatusRequest{}})
	plaintext, err := exchange.OpenAnswer(say(sealed))
	must(t, err)
	status, err := wire.DecodeAnswer(plaintext)
	must(t, err)
	b.Close()

	client := &opaque.Client{Suite: opaque.P256SHA256, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte("anna"), ServerIdentity: r.fleet.ID[:]}
	ke1, _, err := client.StartLogin([]byte("password"))
	must(t, err)
	sealed, _ = r.seal("anna", wire.First{RecoverStart: &wire.RecoverStart{Generation: status.Status.Generation, Slot: 1, KE1: ke1}})
	var said bytes.Buffer
	c := newChild(t, func(c *Child) {
		c.In = io.TeeReader(c.In, &said)
		c.Open = func(wire.HSM) (hal.HAL, error) { return frozen{r.hal}, nil }
	})
	c.rig = r
	sendTo(c, c.start())
	if f := c.opens(d.Copy()); f.Kind != wire.FrameReady {
		t.Fatalf("a frame of kind %d", f.Kind)
	}
	in := wire.In{NowMillis: now, Requests: []wire.Request{{ID: 1, Sealed: sealed}}}
	for {
		sendTo(c, in)
		out, err := wire.ReadMessage[wire.Out](c.from)
		must(t, err)
		if len(out.Append) > 0 {
			break
		}
		in = wire.In{NowMillis: now, Durable: d.Last()}
		d.Copy().Serve(out, &in)
	}
	c.to.Close()
	<-c.ended
	guarded = [][]byte{r.config.Document, r.config.Island, sealed}
	for _, e := range d.Written {
		guarded = append(guarded, e.Bytes)
	}
	for _, page := range d.Pages {
		guarded = append(guarded, page)
	}
	return said.Bytes(), guarded
}

// charges gives a box a stream to its end, and tells how many entries it
// wanted written. A box that stops says why.
func charges(t *testing.T, r *rig, stream []byte, cut bool) (entries int) {
	t.Helper()
	in := &lingering{bytes.NewReader(stream), make(chan struct{})}
	if cut {
		in.end() // nothing follows, at once
	}
	from, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		c := Child{
			In: in, Out: out, Rand: rand.Reader,
			Open:    func(wire.HSM) (hal.HAL, error) { return frozen{r.hal}, nil },
			Confine: func() ([]string, error) { return []string{"a wall"}, nil },
		}
		err := c.Serve()
		out.Close()
		ended <- err
	}()
	failed := false
	for {
		f, err := wire.ReadFrame(from)
		if err == io.EOF {
			break
		}
		must(t, err)
		switch f.Kind {
		case wire.FrameFailed:
			failed = true
		case wire.FrameOut:
			o, err := wire.DecodeFrame[wire.Out](f)
			must(t, err)
			entries += len(o.Append)
			if len(o.Append)+len(o.Replies) > 0 {
				in.end() // it answered: the node has nothing more to say
			}
		}
	}
	in.end()
	if err := <-ended; (err != nil) != failed {
		t.Fatalf("it ended with %v, and told the node so: %v", err, failed)
	}
	return entries
}

// lingering is a stream that stays open after its last byte until the other
// side has answered.
type lingering struct {
	*bytes.Reader
	ended chan struct{}
}

func (l *lingering) end() {
	select {
	case <-l.ended:
	default:
		close(l.ended)
	}
}

func (l *lingering) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-l.ended
	}
	return n, err
}

// TestEveryFlippedByteOfPipe: a box whose fleet document, keys, log or request
// is another one by a bit charges nothing; one whose node breaks off ends, and
// says why. All else that the node says is the node's to say: its clock, its
// numbers, where the HSM is.
func TestEveryFlippedByteOfPipe(t *testing.T) {
	r := newRig(t)
	whole, guarded := conversation(t, r)
	if n := charges(t, r, whole, false); n != 1 {
		t.Fatalf("the conversation as it was said: %d entries, want 1", n)
	}
	tried, stride := 0, soak.Size(flipStride, 1)
	parts := 0
	for _, bytesOf := range guarded {
		at := bytes.Index(whole, bytesOf)
		if at < 0 || len(bytesOf) == 0 {
			continue // before a checkpoint, or not on the way to the record
		}
		parts++
		for i := at; i < at+len(bytesOf); i += stride {
			flipped := bytes.Clone(whole)
			flipped[i] ^= 1 << (i % 8)
			if n := charges(t, r, flipped, false); n != 0 {
				t.Fatalf("byte %d of %d flipped: %d entries", i, len(whole), n)
			}
			tried++
		}
	}
	if parts < 4 {
		t.Fatalf("only %d parts of the conversation are in it", parts)
	}
	for i := 0; i < len(whole); i += stride {
		charges(t, r, whole[:i], true) // ends, with a word
		tried++
	}
	soak.Tried(t, "P8", "bytes of the pipe flipped or cut", tried, len(whole)/stride)
}
