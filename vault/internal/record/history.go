package record

import (
	"slices"

	"strongroom/protocol/wire"
)

// runs tells which kinds coalesce with the event right before them.
func runs(k wire.EventKind) bool { return k == wire.EventAttempts || k == wire.EventRecovered }

// happened says what a command made of a record. The rules do not know of
// the history: it follows from what changed.
func (c *Command) happened(before, after *Record) (kinds []wire.EventKind) {
	add := func(k wire.EventKind) { kinds = append(kinds, k) }
	came := after.Generation != before.Generation
	ended := after.State != before.State && !after.live()
	if c.Depart != nil || after.State == wire.StateArriving || after.Opened != before.Opened {
		return c.moved(before, after)
	}
	switch {
	case before.Pending == nil && after.Pending != nil && after.Pending.Register == nil:
		add(wire.EventDeletionAsked)
	case before.Pending == nil && after.Pending != nil:
		add(wire.EventResetAsked)
	case before.Pending != nil && after.Pending == nil && (c.Mature == nil || !came && !ended):
		add(wire.EventStopped)
	}
	switch {
	case c.Debit != nil && after.Slot != before.Slot:
		add(wire.EventAttempts)
	case c.Refill != nil && after.Forgiven != before.Forgiven:
		add(wire.EventRecovered)
	case came && c.Mature != nil:
		add(wire.EventReset)
	case came && before.live():
		add(wire.EventReplaced)
	case came:
		add(wire.EventRegistered)
	case ended && after.State == wire.StateDestroyed:
		add(wire.EventDestroyed)
	case ended:
		add(wire.EventDeleted)
	}
	return kinds
}

// moved says what became of an account between islands. A registration that
// only waits for receipts is nothing yet.
func (c *Command) moved(before, after *Record) (kinds []wire.EventKind) {
	switch {
	case after.Opened != before.Opened:
		return []wire.EventKind{wire.EventArrived}
	case c.Depart != nil && before.State != wire.StateDeparted:
		return []wire.EventKind{wire.EventDeparted}
	}
	return nil
}

// nowMillis is the time that the command was proposed at, 0 for one that an
// older program wrote without.
func (c *Command) nowMillis() uint64 {
	switch {
	case c.Register != nil:
		return c.Register.NowMillis
	case c.Debit != nil:
		return c.Debit.NowMillis
	case c.Refill != nil:
		return c.Refill.NowMillis
	case c.Delete != nil:
		return c.Delete.NowMillis
	case c.Destroy != nil:
		return c.Destroy.NowMillis
	case c.Mark != nil:
		return c.Mark.NowMillis
	case c.Cancel != nil:
		return c.Cancel.NowMillis
	case c.Mature != nil:
		return c.Mature.NowMillis
	case c.Depart != nil:
		return c.Depart.NowMillis
	case c.Arrive != nil:
		return c.Arrive.NowMillis
	}
	return 0
}

// chronicle writes down what the command did, and gives every single event of
// it, in order.
func (c *Command) chronicle(before Record, r *Record) (events []wire.Event) {
	kinds := c.happened(&before, r)
	if len(kinds) == 0 {
		return nil
	}
	r.History = slices.Clone(r.History) // other copies of the record keep theirs
	if c.Refill != nil {
		r.History = pardon(r.History, r.Slot-c.Refill.Slot)
	}
	for _, k := range kinds {
		r.Events++
		e := wire.Event{Kind: k, Number: r.Events, Count: 1, FirstMillis: c.nowMillis(), LastMillis: c.nowMillis()}
		r.History = write(r.History, e)
		events = append(events, e)
	}
	return events
}

// write appends an event. The newest attempt stands by itself until the next
// one comes, so that its proof takes it away with its time.
//
// The attack that it stops: whoever holds the account's token makes events
// (over a tombstone he may register and delete as he likes) until the wrong
// attempts fall out of the history. None falls out: when it is full the oldest
// two of a kind become one run, and every count stays. There are fewer kinds
// than places, so there are always two.
func write(h []wire.Event, e wire.Event) []wire.Event {
	n := len(h)
	switch {
	case e.Kind == wire.EventAttempts && n > 1 && h[n-1].Kind == e.Kind && h[n-2].Kind == e.Kind:
		h = join(h, n-2, n-1)
	case e.Kind != wire.EventAttempts && n > 0 && runs(e.Kind) && h[n-1].Kind == e.Kind:
		return join(append(h, e), n-1, n)
	}
	if h = append(h, e); len(h) <= wire.HistoryMax {
		return h
	}
	for i := range h {
		for j := i + 1; j < len(h); j++ {
			if h[i].Kind == h[j].Kind {
				return join(h, i, j)
			}
		}
	}
	return h
}

// join makes one run of the events i and j > i of one kind, in the place of j.
func join(h []wire.Event, i, j int) []wire.Event {
	a, b := h[i], &h[j]
	b.Count += a.Count
	b.FirstMillis = min(a.FirstMillis, b.FirstMillis)
	b.LastMillis = max(a.LastMillis, b.LastMillis)
	return slices.Delete(h, i, i+1)
}

// pardon takes the attempt that was proven out of its run: later attempts were
// made since. No attempt ever falls out of the history, so those behind it are
// all there, one for each slot.
func pardon(h []wire.Event, later uint64) []wire.Event {
	for i := len(h) - 1; i >= 0; i-- {
		switch e := &h[i]; {
		case e.Kind != wire.EventAttempts:
		case later >= uint64(e.Count):
			later -= uint64(e.Count)
		case e.Count > 1:
			e.Count--
			return h
		default:
			return slices.Delete(h, i, i+1)
		}
	}
	return h // the attempt was made before a history was kept
}

// report is the history for a reader: the newest attempt in its run.
func (r *Record) report() []wire.Event {
	n := len(r.History)
	if n < 2 || r.History[n-1].Kind != wire.EventAttempts || r.History[n-2].Kind != wire.EventAttempts {
		return r.History
	}
	return join(slices.Clone(r.History), n-2, n-1)
}
