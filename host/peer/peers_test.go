package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/protocol/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *Key {
	t.Helper()
	text, err := GenerateKey()
	must(t, err)
	k, err := ParseKey(text)
	must(t, err)
	return k
}

// side is a node of a test: a fake box that echoes, and its lines.
type side struct {
	t        *testing.T
	peers    *Peers
	config   Config
	listener net.Listener
	carry    func(context.Context, []byte) (wire.Reply, wire.BoxID, error)
	report   atomic.Pointer[wire.IslandReport]
	received chan wire.Received
	gone     chan wire.BoxID
}

func (s *side) Gone(b wire.BoxID) { s.gone <- b }

func (s *side) Report() *wire.IslandReport { return s.report.Load() }

func (s *side) Receive(r wire.Received) { s.received <- r }

func (s *side) Carry(ctx context.Context, sealed []byte) (wire.Reply, wire.BoxID, error) {
	if s.carry != nil {
		return s.carry(ctx, sealed)
	}
	return wire.Reply{Sealed: append([]byte("re: "), sealed...)}, wire.BoxID{}, nil
}

// ring makes n nodes that know one another; none is started.
func ring(t *testing.T, n int) []*side {
	t.Helper()
	sides := make([]*side, n)
	var boxes []Box
	for i := range sides {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		s := &side{t: t, listener: l, received: make(chan wire.Received, 1<<16), gone: make(chan wire.BoxID, 1<<10)}
		s.config = Config{Fleet: wire.FleetID{1}, Box: wire.BoxID{byte(i + 1)}, Key: newKey(t)}
		sides[i] = s
		boxes = append(boxes, Box{ID: s.config.Box, Name: fmt.Sprint("site ", i), Address: l.Addr().String(), Pin: s.config.Key.Pin})
	}
	for i, s := range sides {
		s.config.Boxes = append(append([]Box(nil), boxes[:i]...), boxes[i+1:]...)
	}
	return sides
}

func (s *side) start() {
	s.t.Helper()
	s.peers = New(s.config)
	s.peers.Start(s.listener, s)
	s.t.Cleanup(s.peers.Close)
}

// until waits for what must come true: it is no measure of time.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (s *side) connected(n int) func() bool {
	return func() bool {
		up := 0
		for _, p := range s.peers.Status() {
			if p.Connected && p.Connects {
				up++
			}
		}
		return up == n
	}
}

func started(t *testing.T, n int) []*side {
	t.Helper()
	sides := ring(t, n)
	for _, s := range sides {
		s.start()
	}
	for i, s := range sides {
		until(t, fmt.Sprintf("node %d hears all", i), s.connected(n-1))
	}
	return sides
}

// Messages come in their order, each once, from who sent it; requests come
// back with their own answers, beside them.
func TestCarries(t *testing.T) {
	sides := started(t, 3)
	const messages, requests = 1000, 200
	for i := range uint32(messages) {
		for _, from := range sides {
			for _, to := range sides {
				if to != from {
					from.peers.Send(wire.Send{To: to.config.Box, Bytes: binary.BigEndian.AppendUint32(nil, i)})
				}
			}
		}
	}
	var asking sync.WaitGroup
	for i := range requests {
		asking.Go(func() {
			sealed := fmt.Append(nil, "request ", i)
			reply, leader, err := sides[0].peers.Ask(t.Context(), sides[1].config.Box, sealed)
			if err != nil || string(reply.Sealed) != "re: "+string(sealed) || reply.Refused != "" || leader != (wire.BoxID{}) {
				t.Errorf("%q: %+v, %v", sealed, reply, err)
			}
		})
	}
	asking.Wait()
	for _, s := range sides {
		next := map[wire.BoxID]uint32{}
		for range 2 * messages {
			r := <-s.received
			if got := binary.BigEndian.Uint32(r.Bytes); got != next[r.From] {
				t.Fatalf("message %d of %s, expected %d", got, r.From, next[r.From])
			}
			next[r.From]++
		}
		if len(next) != 2 || len(s.received) != 0 {
			t.Fatalf("from %d boxes, %d more", len(next), len(s.received))
		}
		for _, p := range s.peers.Status() {
			if p.Counts.Sent != messages || p.Counts.Received != messages || p.Counts.Dropped != 0 || p.Counts.SentBytes != 4*messages || p.Counts.Connects != 1 {
				t.Errorf("%+v", p)
			}
		}
	}
	if c := sides[1].peers.Status()[0].Counts; c.Served != requests {
		t.Errorf("%d requests served", c.Served)
	}
	until(t, "a round trip was measured", func() bool { return sides[0].peers.Status()[0].RoundTrip > 0 })
}

// The largest message goes through, a larger one is dropped where it came from.
func TestLargestMessage(t *testing.T) {
	sides := started(t, 2)
	big := bytes.Repeat([]byte{7}, wire.PeerBytesMax)
	sides[0].peers.Send(wire.Send{To: sides[1].config.Box, Bytes: append(big, 7)})
	sides[0].peers.Send(wire.Send{To: sides[1].config.Box, Bytes: big})
	sides[0].peers.Send(wire.Send{To: wire.BoxID{99}, Bytes: big})
	if r := <-sides[1].received; !bytes.Equal(r.Bytes, big) {
		t.Fatalf("%d bytes", len(r.Bytes))
	}
	if c := sides[0].peers.Status()[0].Counts; c.Dropped != 1 {
		t.Fatalf("%+v", c)
	}
}

// Whatever another node answers, the asker gets it by name.
func TestAnswers(t *testing.T) {
	sides := started(t, 2)
	leader := wire.BoxID{9}
	for _, c := range []struct {
		reply wire.Reply
		err   error
		want  error
	}{
		{reply: wire.Reply{Refused: wire.CodeElsewhere}},
		{reply: wire.Reply{Sealed: bytes.Repeat([]byte{1}, wire.AnswerBytesMax)}},
		{err: ErrBusy, want: ErrBusy},
		{err: fmt.Errorf("%w: full", ErrUnreachable), want: ErrUnreachable},
		{err: ErrUnanswered, want: ErrUnanswered},
		{err: errors.New("anything"), want: ErrUnanswered},
		{reply: wire.Reply{Sealed: make([]byte, wire.AnswerBytesMax+1)}, want: ErrUnanswered},
		{want: ErrUnanswered}, // a reply that says nothing
	} {
		answer := func(context.Context, []byte) (wire.Reply, wire.BoxID, error) { return c.reply, leader, c.err }
		sides[1].carry = answer
		reply, from, err := sides[0].peers.Ask(t.Context(), sides[1].config.Box, nil)
		if !errors.Is(err, c.want) || from != leader {
			t.Fatalf("%+v: %v, leader %s", c, err, from)
		}
		if err == nil && (reply.Refused != c.reply.Refused || !bytes.Equal(reply.Sealed, c.reply.Sealed)) {
			t.Fatalf("%+v: %+v", c, reply)
		}
	}
	if !sides[0].connected(1)() {
		t.Fatal("an answer cost the line")
	}
}

// A line that breaks under a request says that it may have been carried out;
// one that never was says that it was not.
func TestBrokenUnderARequest(t *testing.T) {
	sides := started(t, 2)
	to := sides[1].config.Box
	arrived := make(chan struct{})
	sides[1].carry = func(ctx context.Context, _ []byte) (wire.Reply, wire.BoxID, error) {
		close(arrived)
		<-ctx.Done()
		return wire.Reply{}, wire.BoxID{}, ctx.Err()
	}
	failed := make(chan error)
	go func() {
		_, _, err := sides[0].peers.Ask(t.Context(), to, nil)
		failed <- err
	}()
	<-arrived
	sides[1].peers.Close()
	if err := <-failed; !errors.Is(err, ErrUnanswered) {
		t.Fatal(err)
	}
	until(t, "the loss is seen", func() bool { return !sides[0].peers.Status()[0].Connected })
	if _, _, err := sides[0].peers.Ask(t.Context(), to, nil); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
	if s := sides[0].peers.Status()[0]; s.Failure == "" || s.Since.IsZero() {
		t.Fatalf("%+v", s)
	}
	if _, _, err := sides[0].peers.Ask(t.Context(), wire.BoxID{77}, nil); !errors.Is(err, ErrUnreachable) {
		t.Fatal(err)
	}
}

// A caller that leaves is told what is known, and its late answer is nobody's.
func TestAskerLeaves(t *testing.T) {
	sides := started(t, 2)
	arrived, let := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	sides[1].carry = func(ctx context.Context, b []byte) (wire.Reply, wire.BoxID, error) {
		if calls.Add(1) == 1 {
			close(arrived)
			<-let
		}
		return wire.Reply{Sealed: []byte("late")}, wire.BoxID{}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, _, err := sides[0].peers.Ask(ctx, sides[1].config.Box, nil)
	if !errors.Is(err, ErrUnanswered) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(let)
	if reply, _, err := sides[0].peers.Ask(t.Context(), sides[1].config.Box, nil); err != nil || string(reply.Sealed) != "late" {
		t.Fatalf("%+v, %v", reply, err)
	}
}

// The patience of the asker goes with the request.
func TestPatience(t *testing.T) {
	sides := started(t, 2)
	given := make(chan time.Duration, 1)
	sides[1].carry = func(ctx context.Context, _ []byte) (wire.Reply, wire.BoxID, error) {
		deadline, _ := ctx.Deadline()
		given <- time.Until(deadline)
		return wire.Reply{Refused: wire.CodeElsewhere}, wire.BoxID{}, nil
	}
	for _, patience := range []time.Duration{time.Hour, 30 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, _, err := sides[0].peers.Ask(ctx, sides[1].config.Box, nil)
		must(t, err)
		if got := <-given; got > min(patience, time.Minute) || got <= 0 {
			t.Errorf("%v of %v", got, patience)
		}
		cancel()
	}
}

// A node that ends is told of at once; one broken line of two is nobody's end.
func TestGone(t *testing.T) {
	sides := started(t, 3)
	before := sides[1].peers.links[sides[2].config.Box].connects.Load()
	sides[1].peers.links[sides[2].config.Box].up().NetConn().Close()
	until(t, "the line is made anew", func() bool { return sides[1].peers.links[sides[2].config.Box].connects.Load() > before })
	until(t, "all hear all", sides[1].connected(2))
	sides[0].peers.Close()
	for _, s := range sides[1:] {
		if gone := <-s.gone; gone != sides[0].config.Box {
			t.Errorf("box %s is told of, and %s ended", gone, sides[0].config.Box)
		}
	}
}

// A node that starts again is found again, with no message twice.
func TestReconnects(t *testing.T) {
	sides := started(t, 2)
	sides[1].peers.Close()
	until(t, "the loss is seen", func() bool { return !sides[0].peers.Status()[0].Connected })
	sides[0].peers.Send(wire.Send{To: sides[1].config.Box, Bytes: []byte("lost")})
	l, err := net.Listen("tcp", sides[1].listener.Addr().String())
	must(t, err)
	sides[1].listener = l
	sides[1].start()
	until(t, "both are back", func() bool { return sides[0].connected(1)() && sides[1].connected(1)() })
	sides[0].peers.Send(wire.Send{To: sides[1].config.Box, Bytes: []byte("found")})
	if r := <-sides[1].received; string(r.Bytes) != "found" {
		t.Fatalf("%q", r.Bytes)
	}
	if c := sides[0].peers.Status()[0].Counts; c.Connects != 2 || c.Dropped != 1 {
		t.Fatalf("%+v", c)
	}
}

// A peer that does not read costs its own messages, the oldest first, and
// nobody waits.
func TestSlowPeerLosesTheOldest(t *testing.T) {
	l := &line{counts: &counts{}, wake: make(chan struct{}, 1), waiting: map[uint64]*ask{}}
	for i := range messagesMax + 10 {
		l.send(binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	if len(l.messages) != messagesMax || binary.BigEndian.Uint32(l.messages[0]) != 10 || l.counts.dropped.Load() != 10 {
		t.Fatalf("%d wait, the first is %x, %d dropped", len(l.messages), l.messages[0], l.counts.dropped.Load())
	}
	l = &line{counts: &counts{}, wake: make(chan struct{}, 1), waiting: map[uint64]*ask{}}
	big := make([]byte, wire.PeerBytesMax)
	for range messagesBytesMax/wire.PeerBytesMax + 3 {
		l.send(big)
	}
	if l.bytes != messagesBytesMax || l.counts.dropped.Load() != 3 {
		t.Fatalf("%d bytes wait, %d dropped", l.bytes, l.counts.dropped.Load())
	}
	for range AsksMax {
		must(t, l.enter(&ask{answer: make(chan answer, 1)}))
	}
	if err := l.enter(&ask{}); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	asks, messages := l.take()
	if len(asks) != AsksMax || len(messages) != 1 || l.bytes != messagesBytesMax-len(big) {
		t.Fatalf("%d requests and %d messages at a time, %d bytes left", len(asks), len(messages), l.bytes)
	}
	l.end(errors.New("over"))
	if l.send(big) || l.counts.dropped.Load() != 3+messagesBytesMax/wire.PeerBytesMax-1 {
		t.Fatalf("%d dropped", l.counts.dropped.Load())
	}
}

// What a box tells of its island is shown by the others' nodes.
func TestReports(t *testing.T) {
	sides := started(t, 2)
	r := &wire.IslandReport{Box: sides[1].config.Box, Role: wire.RoleLeader, Term: 7, Boxes: make([]wire.BoxReport, wire.BoxesMax)}
	for i := range r.Boxes {
		r.Boxes[i] = wire.BoxReport{Box: wire.BoxID(bytes.Repeat([]byte{255}, wire.BoxIDBytes)), Member: math.MaxUint64, Match: math.MaxUint64, Heard: true}
	}
	if b, err := wire.Encode(r); err != nil || len(b) > reportBytesMax/2 {
		t.Fatalf("a large report has %d bytes, %v", len(b), err)
	}
	sides[1].report.Store(r)
	until(t, "the report is known", func() bool {
		s := sides[0].peers.Status()[0]
		return s.Report != nil && s.Report.Term == 7 && !s.Heard.IsZero()
	})
	// One that names another box, or that this release can not read, costs nothing.
	sides[1].report.Store(&wire.IslandReport{Box: wire.BoxID{77}})
	until(t, "it is not shown", func() bool { return sides[0].peers.Status()[0].Report == nil })
	sides[0].peers.links[sides[1].config.Box].heardOf([]byte{0xa0})
	if s := sides[0].peers.Status()[0]; s.Report != nil || !s.Connects || s.Counts.Connects != 1 {
		t.Fatalf("%+v", s)
	}
}
