package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/protocol/wire"
)

var (
	ours   = wire.BoxID{1}
	second = wire.BoxID{2}
	third  = wire.BoxID{3}
)

// isleBox is a box of an island: it leads or answers elsewhere.
type isleBox struct {
	out  chan wire.Out
	done chan struct{}

	mu       sync.Mutex    // guards what follows
	stand    chan struct{} // not nil: In waits until it is closed
	leads    bool
	carried  int
	ticks    []uint32 // of each In
	received []wire.Received
	order    []byte
}

func (b *isleBox) Out() <-chan wire.Out  { return b.out }
func (b *isleBox) Done() <-chan struct{} { return b.done }
func (b *isleBox) Err() error            { return nil }

func (b *isleBox) In(in wire.In) {
	b.mu.Lock()
	stand := b.stand
	b.mu.Unlock()
	if stand != nil {
		<-stand
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if in.Ticks > 0 {
		b.ticks = append(b.ticks, in.Ticks)
	}
	b.received = append(b.received, in.Received...)
	if in.Order != nil {
		b.order = in.Order
	}
	for _, r := range in.Requests {
		reply := wire.Reply{ID: r.ID, Refused: wire.CodeElsewhere}
		if b.leads {
			b.carried++
			reply = wire.Reply{ID: r.ID, Sealed: r.Sealed}
		}
		b.out <- wire.Out{Replies: []wire.Reply{reply}}
	}
}

// tell has the box say who leads, and waits until its node knows.
func (b *isleBox) tell(n *Node, leader wire.BoxID) {
	b.say(leader)
	synctest.Wait()
	if r := n.Island(); r == nil || r.Leader != leader {
		panic("the node did not take it")
	}
}

func (b *isleBox) say(leader wire.BoxID) {
	role := wire.RoleFollower
	if leader == ours {
		role = wire.RoleLeader
	}
	b.mu.Lock()
	b.leads = leader == ours
	b.mu.Unlock()
	b.out <- wire.Out{Island: &wire.IslandReport{Box: ours, Role: role, Leader: leader, Boxes: []wire.BoxReport{{Box: ours, Heard: true}, {Box: second, Heard: true}, {Box: third}}}}
}

// fakePeers answers by a function, and finds two boxes asked at once.
type fakePeers struct {
	t    *testing.T
	ask  func(ctx context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error)
	mu   sync.Mutex // guards what follows
	busy int
	to   []wire.BoxID
	sent []wire.Send
}

func (p *fakePeers) Up() []wire.BoxID { return []wire.BoxID{second, third} }

func (p *fakePeers) Send(s wire.Send) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, s)
}

func (p *fakePeers) Ask(ctx context.Context, to wire.BoxID, sealed []byte) (wire.Reply, wire.BoxID, error) {
	p.mu.Lock()
	if p.busy++; p.busy > 1 {
		p.t.Error("one request is at two boxes")
	}
	p.to = append(p.to, to)
	p.mu.Unlock()
	reply, leader, err := p.ask(ctx, to)
	if reply.Refused == "" && err == nil {
		reply.Sealed = sealed
	}
	p.mu.Lock()
	p.busy--
	p.mu.Unlock()
	return reply, leader, err
}

var elsewhere = wire.Reply{Refused: wire.CodeElsewhere}

// isle runs f in a bubble, with a node of an island.
func isle(t *testing.T, f func(t *testing.T, n *Node, b *isleBox, p *fakePeers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &isleBox{out: make(chan wire.Out, 1000), done: make(chan struct{})}
		p := &fakePeers{t: t, ask: func(context.Context, wire.BoxID) (wire.Reply, wire.BoxID, error) {
			return wire.Reply{}, wire.BoxID{}, ErrDown
		}}
		n := New(Config{Box: b, Store: &fakeLog{}, ID: ours, Peers: p})
		defer n.Close()
		f(t, n, b, p)
	})
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// The box that leads gets the request, and no other.
func TestCarry(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, ours)
		if r, err := n.Carry(patience(t), []byte("a")); err != nil || string(r.Sealed) != "a" || len(p.to) != 0 {
			t.Fatalf("%+v, %v, peers asked: %v", r, err, p.to)
		}
		b.tell(n, third)
		p.ask = func(context.Context, wire.BoxID) (wire.Reply, wire.BoxID, error) { return wire.Reply{}, third, nil }
		if r, err := n.Carry(patience(t), []byte("b")); err != nil || string(r.Sealed) != "b" || !slices.Equal(p.to, []wire.BoxID{third}) {
			t.Fatalf("%+v, %v, peers asked: %v", r, err, p.to)
		}
		if synctest.Wait(); b.carried != 1 {
			t.Fatalf("our box carried %d", b.carried)
		}
	})
}

// A box that does not lead names the one that does, which is asked at once.
func TestCarryIsSentOn(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, second) // it stepped down a moment ago
		p.ask = func(_ context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if to == third {
				return wire.Reply{}, third, nil
			}
			return elsewhere, third, nil
		}
		began := time.Now()
		if _, err := n.Carry(patience(t), nil); err != nil || !slices.Equal(p.to, []wire.BoxID{second, third}) || time.Since(began) != 0 {
			t.Fatalf("%v after %v, asked: %v", err, time.Since(began), p.to)
		}
		// Two that name one another cost a few tries, and the patience is kept.
		p.to = nil
		p.ask = func(_ context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if to == second {
				return elsewhere, third, nil
			}
			return elsewhere, second, nil
		}
		if _, err := n.Carry(patience(t), nil); !errors.Is(err, ErrDown) || !errors.Is(err, ErrNoLeader) || time.Since(began) != 20*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if len(p.to) > 250 {
			t.Fatalf("boxes were asked %d times in 20 s", len(p.to))
		}
	})
}

// Where no box leads the request waits, and goes on at once when one does.
func TestCarryWaitsForALeader(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, wire.BoxID{})
		var leads atomic.Bool
		p.ask = func(_ context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if to == second && leads.Load() {
				return wire.Reply{}, second, nil
			}
			return elsewhere, wire.BoxID{}, nil
		}
		began := time.Now()
		time.AfterFunc(3*time.Second, func() {
			leads.Store(true)
			b.say(second)
		})
		if _, err := n.Carry(patience(t), nil); err != nil || time.Since(began) > 3*time.Second+10*time.Millisecond {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	})
}

// A node whose own box hears nobody still finds the box that leads.
func TestCarryPastADeafBox(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		p.ask = func(_ context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if to == third {
				return wire.Reply{}, third, nil
			}
			return wire.Reply{}, wire.BoxID{}, ErrDown
		}
		for _, known := range []wire.BoxID{{}, second} { // second died, our box did not hear of it
			b.tell(n, known)
			if _, err := n.Carry(patience(t), nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What no box saw is called that; what one may have carried out is not.
func TestCarryGivesUp(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, second)
		began := time.Now()
		if _, err := n.Carry(patience(t), nil); !errors.Is(err, ErrDown) || errors.Is(err, ErrUnanswered) || time.Since(began) != 20*time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		asked := 0
		p.ask = func(context.Context, wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if asked++; asked == 1 {
				return wire.Reply{}, wire.BoxID{}, ErrUnanswered // the line broke
			}
			return wire.Reply{}, wire.BoxID{}, ErrDown
		}
		if _, err := n.Carry(patience(t), nil); !errors.Is(err, ErrUnanswered) || asked < 2 {
			t.Fatalf("%v after %d tries", err, asked)
		}
		asked = 0
		p.ask = func(context.Context, wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if asked++; asked == 1 {
				return wire.Reply{}, wire.BoxID{}, ErrUnanswered
			}
			return wire.Reply{}, wire.BoxID{}, ErrBusy
		}
		if _, err := n.Carry(patience(t), nil); !errors.Is(err, ErrUnanswered) || asked != 2 {
			t.Fatalf("%v after %d tries", err, asked)
		}
		if _, err := n.Carry(patience(t), nil); !errors.Is(err, ErrBusy) || errors.Is(err, ErrUnanswered) {
			t.Fatal(err)
		}
	})
}

// A request at a box whose line breaks goes to the next one.
func TestCarryAfterABrokenLine(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, second)
		p.ask = func(_ context.Context, to wire.BoxID) (wire.Reply, wire.BoxID, error) {
			if to == second {
				b.say(ours)
				return wire.Reply{}, wire.BoxID{}, ErrUnanswered
			}
			return elsewhere, wire.BoxID{}, nil
		}
		r, err := n.Carry(patience(t), []byte("x"))
		synctest.Wait()
		if err != nil || string(r.Sealed) != "x" || b.carried != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

// Others are answered by this box alone, with the leader that it knows.
func TestCarryHere(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.tell(n, third)
		r, leader, err := n.CarryHere(patience(t), nil)
		if err != nil || r.Refused != wire.CodeElsewhere || leader != third || len(p.to) != 0 {
			t.Fatalf("%+v, %s, %v, asked %v", r, leader, err, p.to)
		}
	})
}

// A box of several is ticked every 50 ms. One that was behind, or a process
// that stood still, is given no burst.
func TestRaftClock(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		time.Sleep(10*time.Second + tick/2)
		sum := uint32(0)
		b.mu.Lock()
		for _, ticks := range b.ticks {
			sum += ticks
		}
		b.mu.Unlock()
		if sum != 200 {
			t.Fatalf("%d ticks in 10 s", sum)
		}
		stand := make(chan struct{})
		b.mu.Lock()
		b.ticks = nil
		b.stand = stand
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		close(stand)
		time.Sleep(10 * tick)
		b.mu.Lock()
		defer b.mu.Unlock()
		if most := slices.Max(b.ticks); most > wire.TicksMax || len(b.ticks) > 12 {
			t.Fatalf("%d ticks at once, %d times", most, len(b.ticks))
		}
	})
	c := clock{time.Unix(0, 0)}
	if got := c.take(time.Unix(1000, 0)); got != wire.TicksMax {
		t.Fatalf("%d ticks after a long sleep", got)
	}
	if got := c.take(time.Unix(1000, 0).Add(tick)); got != 1 {
		t.Fatalf("%d ticks after it", got)
	}
}

// Messages pass both ways; a box that is behind loses the oldest of them.
func TestMessagesOfBoxes(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.out <- wire.Out{Sends: []wire.Send{{To: second, Bytes: []byte("1")}, {To: third, Bytes: []byte("2")}}}
		n.Receive(wire.Received{From: second, Bytes: []byte("3")})
		n.Order([]byte("order"))
		time.Sleep(time.Second)
		synctest.Wait() // also what the race detector needs to see the order
		if fmt.Sprint(p.sent) != fmt.Sprint([]wire.Send{{To: second, Bytes: []byte("1")}, {To: third, Bytes: []byte("2")}}) {
			t.Fatalf("%v", p.sent)
		}
		b.mu.Lock()
		got, order := b.received, b.order
		b.received, b.stand = nil, make(chan struct{})
		b.mu.Unlock()
		if len(got) != 1 || got[0].From != second || string(got[0].Bytes) != "3" || string(order) != "order" {
			t.Fatalf("%v, %q", got, order)
		}
		time.Sleep(time.Second) // it stands at the next tick
		for i := range uint32(receivedMax + 7) {
			n.Receive(wire.Received{From: third, Bytes: binary.BigEndian.AppendUint32(nil, i)})
		}
		close(b.stand)
		time.Sleep(time.Second)
		b.mu.Lock()
		defer b.mu.Unlock()
		if n.Overrun() != 7 || len(b.received) != receivedMax || binary.BigEndian.Uint32(b.received[0].Bytes) != 7 {
			t.Fatalf("%d were too many, %d came", n.Overrun(), len(b.received))
		}
	})
}

// A box of another folder stops its node, by name.
func TestOtherBox(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		b.out <- wire.Out{Island: &wire.IslandReport{Box: second}}
		<-n.Done()
		if err := n.Failed(); !errors.Is(err, ErrOtherBox) {
			t.Fatal(err)
		}
	})
}

func TestHealthy(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		if err := n.Healthy(); !errors.Is(err, ErrNoLeader) {
			t.Fatal(err)
		}
		b.tell(n, third)
		if err := n.Healthy(); err != nil {
			t.Fatal(err)
		}
		b.tell(n, wire.BoxID{})
		if err := n.Healthy(); !errors.Is(err, ErrNoLeader) || !strings.Contains(err.Error(), "its node reaches 2 of 2 others") {
			t.Fatal(err)
		}
	})
}

// A stop waits for another leader, and not for ever.
func TestHandOver(t *testing.T) {
	isle(t, func(t *testing.T, n *Node, b *isleBox, p *fakePeers) {
		took := func() time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			began := time.Now()
			n.HandOver(ctx)
			return time.Since(began)
		}
		b.tell(n, third)
		if d := took(); d != 0 {
			t.Fatalf("a follower waited %v", d)
		}
		b.tell(n, ours)
		if d := took(); d != 2*time.Second {
			t.Fatalf("a leader waited %v for nobody", d)
		}
		time.AfterFunc(time.Second, func() { b.say(second) })
		if d := took(); d < time.Second || d > 1100*time.Millisecond {
			t.Fatalf("a leader waited %v", d)
		}
	})
}
