package peer

import (
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// Status is what is known of the lines with one peer.
type Status struct {
	Box       wire.BoxID
	Name      string
	Address   string
	Connected bool          // this node is connected to it
	Connects  bool          // it is connected to this node
	Since     time.Time     // of Connected, or of its end; zero: not tried yet
	Failure   string        // why it is not
	RoundTrip time.Duration // the last one; 0: none yet
	Counts    Counts

	Report *wire.IslandReport // its box's, by its node's word; nil: none yet
	Heard  time.Time          // when that came
}

// Counts is what was counted of one peer since the start.
type Counts struct {
	Sent, SentBytes         uint64 // messages of this node's box
	Dropped                 uint64 // of them: there was no line, or it was too slow
	Received, ReceivedBytes uint64 // messages for this node's box
	Connects                uint64 // times that this node connected
	Asked, Answered         uint64 // requests that this node took to it, and answers that came
	Served                  uint64 // requests that it took to this node
}

// Status gives one of each peer, by the order of their ids.
func (p *Peers) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Status, 0, len(p.links))
	for _, k := range p.links {
		s := k.status()
		s.Connects = p.incoming[k.box.ID] != nil
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int { return slices.Compare(a.Box[:], b.Box[:]) })
	return all
}

func (k *link) status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Status{
		Box: k.box.ID, Name: k.box.Name, Address: k.box.Address, Connected: k.line != nil, Since: k.since,
		RoundTrip: time.Duration(k.roundTrip.Load()), Report: k.report, Heard: k.heard,
		Counts: Counts{
			Sent: k.sent.Load(), SentBytes: k.sentBytes.Load(), Dropped: k.dropped.Load(),
			Received: k.received.Load(), ReceivedBytes: k.receivedBytes.Load(),
			Connects: k.connects.Load(), Asked: k.asked.Load(), Answered: k.answers.Load(), Served: k.served.Load(),
		},
	}
	if k.line == nil && k.failure != nil {
		s.Failure = k.failure.Error()
	}
	return s
}

// heardOf keeps a peer's report. One that this program can not read is of
// another release, in the middle of an upgrade: it is not shown.
func (k *link) heardOf(b []byte) {
	r := new(wire.IslandReport)
	if wire.Decode(b, r) != nil || r.Validate() != nil || r.Box != k.box.ID {
		r = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.report, k.heard = r, time.Now()
}

// Refused counts connections that were refused, or ended for what they sent, by
// reason: stranger, version, fleet, box, frame, handshake.
func (p *Peers) Refused() map[string]uint64 { return p.refused.all() }

// refusedLogEvery is how often a refusal is written to the log for one reason:
// anybody can make thousands.
const refusedLogEvery = 10 * time.Second

// tally counts refusals.
type tally struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	count  map[string]uint64
	logged map[string]time.Time
}

func newTally(l *slog.Logger) *tally {
	return &tally{log: l, count: map[string]uint64{}, logged: map[string]time.Time{}}
}

func (t *tally) add(err error, from net.Addr) {
	reason := reasonOf(err)
	t.mu.Lock()
	t.count[reason]++
	tell := time.Since(t.logged[reason]) > refusedLogEvery
	if tell {
		t.logged[reason] = time.Now()
	}
	t.mu.Unlock()
	if tell {
		t.log.Warn("a connection of a node was refused", "reason", reason, "from", from, "error", err)
	}
}

func (t *tally) all() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.count)
}

// Reasons are all that Refused may name.
var Reasons = []string{"stranger", "version", "fleet", "box", "frame", "handshake"}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrStranger):
		return "stranger"
	case errors.Is(err, ErrVersion):
		return "version"
	case errors.Is(err, ErrFleet):
		return "fleet"
	case errors.Is(err, ErrBox):
		return "box"
	case errors.Is(err, ErrFrame):
		return "frame"
	}
	return "handshake"
}
