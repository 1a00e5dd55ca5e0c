package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"strongroom/protocol/wire"
	memory "strongroom/test/disk"
)

// peer is a box of a test: the other ends of the pipes.
type peer struct {
	t   *testing.T
	in  *os.File // what the node sends
	out *os.File // what the node reads
}

func pipes(t *testing.T) (*peer, *os.File, *os.File) {
	t.Helper()
	in, w, err := os.Pipe()
	must(t, err)
	r, out, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() {
		for _, f := range []*os.File{in, w, r, out} {
			f.Close()
		}
	})
	return &peer{t, in, out}, r, w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func say[M wire.Framed](p *peer, m M) {
	b, err := wire.AppendFrame(nil, m)
	if err == nil {
		_, err = p.out.Write(b)
	}
	if err != nil {
		p.t.Error(err)
	}
}

func hear[M wire.Framed](p *peer) M {
	m, err := wire.ReadMessage[M](p.in)
	if err != nil {
		p.t.Error(err)
	}
	return m
}

var startOfTest = wire.Start{HSM: wire.HSM{Provider: "soft", Place: "/hsm"}, Document: []byte{1}, Island: []byte{2}}

func logOf(n int, bytes int) *memory.Disk {
	d := memory.New()
	for i := range n {
		d.Written = append(d.Written, wire.Entry{Index: uint64(i + 1), Bytes: make([]byte, bytes)})
	}
	return d
}

func endedSoTo(s string) func() string { return func() string { return s } }

// opened is a pipe whose box serves; it has heard n entries.
func opened(t *testing.T, n int) (*Pipe, *peer) {
	t.Helper()
	p, r, w := pipes(t)
	heard := make(chan uint64, 1)
	go func() {
		hear[wire.Start](p)
		var last uint64
		for !t.Failed() {
			say(p, wire.Want{After: last})
			part := hear[wire.Entries](p)
			if len(part.Entries) == 0 {
				break
			}
			for _, e := range part.Entries {
				if e.Index != last+1 {
					t.Errorf("entry %d after %d", e.Index, last)
				}
				last = e.Index
			}
		}
		openPages(p)
		heard <- last
		say(p, wire.Ready{Walls: []string{"a wall"}})
	}()
	pipe, err := OpenPipe(r, w, startOfTest, logOf(n, 700), endedSoTo("exit status 7"))
	must(t, err)
	if last := <-heard; last != uint64(n) || len(pipe.Walls()) != 1 {
		t.Fatalf("%d entries of %d came, walls %q", last, n, pipe.Walls())
	}
	return pipe, p
}

// openPages gives a checkpoint in two parts and reads a page of it again.
func openPages(p *peer) {
	say(p, wire.Out{Pages: []wire.Page{{Key: []byte("a"), Bytes: []byte("1")}}})
	say(p, wire.Out{Pages: []wire.Page{{Key: []byte("b"), Bytes: []byte("2")}}, Checkpoint: &wire.Checkpoint{Serial: 7}})
	if in := hear[wire.In](p); in.Kept != 7 {
		p.t.Errorf("kept %d", in.Kept)
	}
	say(p, wire.Out{Reads: []wire.Read{{ID: 3, Keys: [][]byte{[]byte("a"), []byte("none"), []byte("b")}}}})
	in := hear[wire.In](p)
	if len(in.Found) != 1 || in.Found[0].ID != 3 || string(bytes.Join(in.Found[0].Values, []byte("|"))) != "1||2" {
		p.t.Errorf("found %+v", in.Found)
	}
}

// The whole log goes through, in parts; a request comes back with its answer.
func TestPipeCarries(t *testing.T) {
	pipe, p := opened(t, 3000)
	l, err := OpenStore(t.TempDir(), t.TempDir(), nil)
	must(t, err)
	n := New(Config{Box: pipe, Store: l})
	go func() {
		for {
			if in := hear[wire.In](p); len(in.Requests) == 1 {
				say(p, wire.Out{Replies: []wire.Reply{{ID: in.Requests[0].ID, Sealed: append([]byte("re: "), in.Requests[0].Sealed...)}}})
				return
			}
		}
	}()
	reply, err := n.Do(t.Context(), []byte("hello"))
	if err != nil || string(reply.Sealed) != "re: hello" {
		t.Fatalf("%q, %v", reply.Sealed, err)
	}
	n.Close()
	pipe.Close()
	if _, err := io.ReadAll(p.in); err != nil {
		t.Fatalf("the box does not see the order to stop: %v", err)
	}
	p.out.Close()
	<-pipe.Done()
	if pipe.Err() != errClosed {
		t.Fatal(pipe.Err())
	}
}

// Whatever a box sends that is no frame of ours stops the node, by name.
func TestPipeStopsTheNode(t *testing.T) {
	frame := func(m wire.In) []byte {
		b, err := wire.AppendFrame(nil, m)
		must(t, err)
		return b
	}
	for name, c := range map[string]struct {
		sent []byte
		want error
	}{
		"noise":         {[]byte("panic: runtime error\n"), ErrGarbled},
		"oversized":     {[]byte{0xff, 0xff, 0xff, 0xff, wire.PipeVersion, byte(wire.FrameOut)}, ErrGarbled},
		"our own kind":  {frame(wire.In{NowMillis: 1}), ErrGarbled},
		"empty message": {[]byte{0, 0, 0, 0, wire.PipeVersion, byte(wire.FrameOut)}, ErrGarbled},
		"empty failure": {[]byte{0, 0, 0, 0, wire.PipeVersion, byte(wire.FrameFailed)}, ErrGarbled},
		"cut":           {[]byte{0, 0, 0, 9, wire.PipeVersion}, ErrBoxEnded},
		"nothing":       {nil, ErrBoxEnded},
	} {
		t.Run(name, func(t *testing.T) {
			pipe, p := opened(t, 0)
			l, err := OpenStore(t.TempDir(), t.TempDir(), nil)
			must(t, err)
			n := New(Config{Box: pipe, Store: l})
			defer n.Close()
			_, err = p.out.Write(c.sent)
			must(t, err)
			p.out.Close()
			<-n.Done()
			if err := n.Failed(); !errors.Is(err, ErrDown) || !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if errors.Is(c.want, ErrBoxEnded) && !strings.Contains(n.Failed().Error(), "exit status 7") {
				t.Fatalf("how it ended is not told: %v", n.Failed())
			}
			if _, err := n.Do(t.Context(), []byte("x")); !errors.Is(err, ErrDown) {
				t.Fatal(err)
			}
		})
	}
}

func TestPipeFault(t *testing.T) {
	pipe, p := opened(t, 0)
	say(p, wire.Failed{Fault: wire.FaultStopped, Message: "the memory is gone"})
	<-pipe.Done()
	var fault *BoxFault
	if !errors.As(pipe.Err(), &fault) || fault.Fault != wire.FaultStopped {
		t.Fatal(pipe.Err())
	}
}

// A box that refuses while the log still comes: its word counts, not the
// write that failed because of it.
func TestPipeRefusedWithinTheLog(t *testing.T) {
	p, r, w := pipes(t)
	go func() {
		hear[wire.Start](p)
		say(p, wire.Failed{Fault: wire.FaultSecret, Message: "wrong"})
		p.in.Close()
		p.out.Close()
	}()
	_, err := OpenPipe(r, w, startOfTest, logOf(4000, 4000), endedSoTo("?"))
	var fault *BoxFault
	if !errors.As(err, &fault) || fault.Fault != wire.FaultSecret {
		t.Fatal(err)
	}
}

type damagedDisk struct{ *memory.Disk }

func (damagedDisk) Entries(uint64) ([]wire.Entry, error) { return nil, ErrDamaged }

// A log that can not be read is the log's error; nothing is made up for it.
func TestPipeOfADamagedLog(t *testing.T) {
	p, r, w := pipes(t)
	go func() {
		say(p, wire.Want{})
		io.Copy(io.Discard, p.in)
	}()
	_, err := OpenPipe(r, w, startOfTest, damagedDisk{}, endedSoTo("?"))
	if !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

// A request that the box would not take ends the pipe, and says so: half of
// what the node meant must not arrive as all of it.
func TestPipeSendsNothingOversized(t *testing.T) {
	pipe, p := opened(t, 0)
	go func() {
		io.Copy(io.Discard, p.in)
		p.out.Close()
	}()
	pipe.In(wire.In{Requests: []wire.Request{{ID: 1, Sealed: make([]byte, wire.RequestBytesMax+1)}}})
	<-pipe.Done()
	if err := pipe.Err(); !errors.Is(err, wire.ErrMalformed) || !errors.Is(err, ErrBoxEnded) {
		t.Fatal(err)
	}
	pipe.In(wire.In{NowMillis: 1}) // does not hang
}

// A program that is none of ours: what it said and how it ended is told.
func TestProcessThatIsNoBox(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, c := range map[string]struct {
		command []string
		want    error
		told    string
	}{
		"missing": {[]string{"/nowhere/strongroomd", "box"}, os.ErrNotExist, ""},
		"ends":    {[]string{"/bin/sh", "-c", "echo no such command >&2; exit 3"}, ErrBoxEnded, "exit status 3: no such command"},
		"killed":  {[]string{"/bin/sh", "-c", "kill -9 $$"}, ErrBoxEnded, "killed"},
		"talks":   {[]string{"/bin/sh", "-c", "echo hello, how are you; cat >/dev/null"}, ErrGarbled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := StartProcess(c.command, startOfTest, logOf(0, 0))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.told) || ctx.Err() != nil {
				t.Fatalf("%v, %v", err, ctx.Err())
			}
		})
	}
}

// FuzzPipe: whatever a box sends, the node has an answer or an error's name.
func FuzzPipe(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		pipe, err := OpenPipe(bytes.NewReader(b), sink{}, startOfTest, logOf(0, 0), endedSoTo("?"))
		if err == nil {
			for open := true; open; {
				select {
				case out := <-pipe.Out():
					if out.Validate() != nil {
						t.Fatalf("%+v was let through", out)
					}
				case <-pipe.Done():
					open = false
				}
			}
			err = pipe.Err()
		}
		var fault *BoxFault
		if !errors.Is(err, ErrGarbled) && !errors.Is(err, ErrBoxEnded) && !errors.As(err, &fault) {
			t.Fatalf("an error without a name: %v", err)
		}
	})
}

type sink struct{}

func (sink) Write(b []byte) (int, error)      { return len(b), nil }
func (sink) Close() error                     { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }
