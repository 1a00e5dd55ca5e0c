package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom/protocol/wire"
)

// Limits of a node whose box is one of several.
const (
	receivedMax      = 4096     // messages of other boxes that wait for ours; the oldest goes
	receivedBytesMax = 32 << 20 // of them, likewise
)

// Errors of a node whose box is one of several.
var (
	// ErrNoLeader: no box leads, as far as this one knows: fewer than a
	// majority of them hear one another, or they are about to choose.
	ErrNoLeader = errors.New("node: no box of the island leads")

	// ErrOtherBox: the HSM holds another box's identity than the node was told.
	ErrOtherBox = errors.New("node: this is another box of the island")
)

// Peers are the nodes of the island's other boxes.
type Peers interface {
	// Send sends a message on its way, or drops it; it never waits.
	Send(wire.Send)
	// Ask takes a request to the node of a box, which puts it through its box
	// and names the one that leads as far as that knows. Errors: ErrDown (no
	// box saw it), ErrBusy (likewise) and ErrUnanswered.
	Ask(ctx context.Context, to wire.BoxID, sealed []byte) (reply wire.Reply, leader wire.BoxID, err error)
	// Up are the boxes whose nodes can be asked.
	Up() []wire.BoxID
}

// Receive takes a message of another box for this one. It never waits: while
// the box is behind, the oldest message goes, and Raft says it anew.
func (n *Node) Receive(r wire.Received) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received = append(n.received, r)
	n.receivedBytes += len(r.Bytes)
	for len(n.received) > receivedMax || n.receivedBytes > receivedBytesMax {
		n.receivedBytes -= len(n.received[0].Bytes)
		n.received[0] = wire.Received{}
		n.received = n.received[1:]
		n.overrun++
	}
	signal(n.synced)
}

// Gone tells the box that another one's process ended: a leader that is gone
// is not waited for.
func (n *Node) Gone(b wire.BoxID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Contains(n.gone, b) {
		n.gone = append(n.gone, b)
	}
	signal(n.synced)
}

// Overrun counts messages of other boxes that ours was too slow for.
func (n *Node) Overrun() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.overrun
}

// report keeps what the box tells of its island. The caller holds n.mu.
func (n *Node) report(r *wire.IslandReport) error {
	if r.Box != n.id {
		return fmt.Errorf("%w: its HSM holds %s, and %s was expected. Nothing was changed; give each box its own folder and HSM", ErrOtherBox, r.Box, n.id)
	}
	if n.island == nil || n.island.Leader != r.Leader {
		close(n.led)
		n.led = make(chan struct{})
	}
	n.island = r
	return nil
}

// Island is what the box last told of its island; nil: nothing yet, or it is
// the only box. It must not be changed.
func (n *Node) Island() *wire.IslandReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.island
}

// leader is the box that leads as far as ours knows, all zero for none, and
// what is closed when it is another one. Before its first word ours is taken
// for it: it knows best.
func (n *Node) leader() (leader wire.BoxID, another <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.island == nil {
		return n.id, n.led
	}
	return n.island.Leader, n.led
}

// Healthy is nil while requests can be served: here, or by the box that leads.
func (n *Node) Healthy() error {
	if err := n.Err(); err != nil || n.peers == nil {
		return err
	}
	r := n.Island()
	if r == nil {
		return fmt.Errorf("%w: this one has just started", ErrNoLeader)
	}
	if r.Leader == (wire.BoxID{}) {
		return fmt.Errorf("%w: box %s is %s, and its node reaches %d of %d others. Nothing is lost; requests are served when a majority hears one another, or, where a majority started anew, when the custodians order a cold start", ErrNoLeader, n.id, said(r.Role), len(n.peers.Up()), max(len(r.Boxes)-1, 0))
	}
	return nil
}

// Order gives the box the custodians' order for a cold start, which it judges.
func (n *Node) Order(order []byte) {
	n.mu.Lock()
	n.order = order
	n.mu.Unlock()
	signal(n.synced)
}

// Layouts shows the box the fleet's islands and layouts, which it judges. They
// must not be changed any more.
func (n *Node) Layouts(l *wire.Layouts) {
	n.mu.Lock()
	n.layouts = l
	n.mu.Unlock()
	signal(n.synced)
}

// Replace shows the box the custodians' certificate for one in the place of a
// lost one. It judges it, and has the island agree on it.
func (n *Node) Replace(certificate []byte) {
	n.mu.Lock()
	n.replacements = append(n.replacements, certificate)
	n.mu.Unlock()
	signal(n.synced)
}

// said is a role in a sentence.
func said(r wire.Role) string {
	switch r {
	case wire.RoleNone:
		return "no member yet"
	case wire.RoleLeader:
		return "about to lead"
	}
	return "a " + r.String()
}

// HandOver waits, after Release, until another box leads where this one did.
func (n *Node) HandOver(ctx context.Context) {
	for n.peers != nil {
		leader, another := n.leader()
		if r := n.Island(); r == nil || r.Role != wire.RoleLeader && leader != n.id {
			return
		}
		select {
		case <-another:
		case <-ctx.Done():
			return
		case <-n.stopping:
			return
		}
	}
}
