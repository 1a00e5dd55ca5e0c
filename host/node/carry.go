package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"strongroom/protocol/wire"
)

// How Carry looks for the box that leads.
const (
	lookFirst  = 25 * time.Millisecond // before the second look; it doubles
	lookMax    = 400 * time.Millisecond
	hopsMax    = 3 // boxes asked in a row because each named the next
	probeAfter = 5 // looks, then the others are asked too: ours may hear nobody
)

// Carry puts one sealed request through the island: through the box that
// leads, wherever that is, for which it waits until ctx ends where none is
// known. Errors are Do's: after ErrDown and ErrBusy no box has seen it.
//
// It asks one box at a time, and another one only when the first has answered
// that it does not lead, could not be reached, or its line broke. In the last
// case the first may have carried the request out, and the second gets the same
// sealed bytes. That is safe, for both trips: it is what a client does that got
// no answer, and what anybody on the path can do at any time, so the rules
// (vault/internal/record) hold for it.
//
//   - RecoverStart names its slot and KE1: charged once, the same KE2.
//     RegisterStart leaves nothing behind. Delete, Mark and Cancel name what
//     they change, and a second one finds it done.
//   - RegisterFinish is one generation, compared and swapped; RecoverFinish
//     refills its slot once. Both carry a ticket that opens at the box alone
//     that sealed it: another one refuses it, in clear, and the client, for
//     whom words in clear settle nothing, asks for the status (a registration)
//     or begins the same slot again with the same KE1, for nothing.
//
// So a second copy is never a second guess. What would hurt is a word: once a
// box may have carried the request out, this node does not say that none has.
func (n *Node) Carry(ctx context.Context, sealed []byte) (wire.Reply, error) {
	if n.peers == nil {
		return n.Do(ctx, sealed)
	}
	t := trip{node: n, sealed: sealed, why: ErrNoLeader}
	for look := 0; ; {
		leader, another := n.leader()
		if probe := look >= probeAfter && look%2 == 1; probe || leader == (wire.BoxID{}) && look >= probeAfter {
			leader = n.anyone(look)
		}
		if reply, done, err := t.ask(ctx, leader); done {
			return reply, err
		}
		if look = n.lookAgain(ctx, another, look); look < 0 {
			return wire.Reply{}, t.gaveUp(ctx)
		}
	}
}

// trip is one request on its way through the island.
type trip struct {
	node    *Node
	sealed  []byte
	unknown bool  // a box may have carried it out
	why     error // the last box's, or that there was none
}

// ask asks a box, and those that it and they name. It is done with an answer,
// or with an error that looking further does not mend.
func (t *trip) ask(ctx context.Context, to wire.BoxID) (reply wire.Reply, done bool, err error) {
	for hop := 0; hop < hopsMax && to != (wire.BoxID{}); hop++ {
		reply, leader, err := t.node.askOne(ctx, to, t.sealed)
		switch {
		case err == nil && reply.Refused != wire.CodeElsewhere:
			return reply, true, nil
		case err == nil:
			t.why = fmt.Errorf("%w: box %s says that it does not", ErrNoLeader, to)
		default:
			t.why = err
			t.unknown = t.unknown || errors.Is(err, ErrUnanswered)
		}
		// A box that is full is not helped by being asked again.
		if errors.Is(err, ErrBusy) || t.node.Err() != nil {
			return wire.Reply{}, true, t.failed(err)
		}
		if ctx.Err() != nil {
			return wire.Reply{}, true, t.gaveUp(ctx)
		}
		if leader == to {
			break
		}
		to = leader
	}
	return wire.Reply{}, false, nil
}

// failed keeps an error from saying that no box saw the request when one may.
func (t *trip) failed(err error) error {
	if err == nil {
		err = fmt.Errorf("%w: %w", ErrDown, t.node.Err())
	}
	if t.unknown && !errors.Is(err, ErrUnanswered) {
		return fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	return err
}

func (t *trip) gaveUp(ctx context.Context) error {
	return t.failed(fmt.Errorf("%w: %w, until the patience ended: %w", ErrDown, t.why, ctx.Err()))
}

// askOne puts a request through one box: ours, or another one's node's.
func (n *Node) askOne(ctx context.Context, to wire.BoxID, sealed []byte) (wire.Reply, wire.BoxID, error) {
	if to != n.id {
		return n.peers.Ask(ctx, to, sealed)
	}
	return n.CarryHere(ctx, sealed)
}

// CarryHere puts a request through this node's box and no other, and names the
// box that leads as far as ours knows: for other nodes, which ask onwards
// themselves, so that no request goes in a circle.
func (n *Node) CarryHere(ctx context.Context, sealed []byte) (wire.Reply, wire.BoxID, error) {
	reply, err := n.Do(ctx, sealed)
	leader, _ := n.leader()
	return reply, leader, err
}

// anyone is one of the boxes that can be asked, another one at each look.
func (n *Node) anyone(look int) wire.BoxID {
	up := n.peers.Up()
	if len(up) == 0 {
		return wire.BoxID{}
	}
	return up[look/2%len(up)]
}

// lookAgain waits until another box leads, or a while. It gives the number of
// the next look, which begins at 0 for another leader; -1 where there is no time
// for any.
func (n *Node) lookAgain(ctx context.Context, another <-chan struct{}, look int) int {
	d := min(lookFirst<<min(look, 10), lookMax)
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-another:
		return 0
	case <-timer.C:
		return look + 1
	case <-ctx.Done():
	case <-n.stopping:
	}
	return -1
}
