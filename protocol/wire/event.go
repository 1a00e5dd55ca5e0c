package wire

// EventKind says what happened to an account.
type EventKind uint8

const (
	EventRegistered    EventKind = 1  // a registration where nothing was live
	EventReplaced      EventKind = 2  // a registration in the place of a live one, signed by its owner
	EventAttempts      EventKind = 3  // attempts that no proof followed, so far
	EventRecovered     EventKind = 4  // a proof of the password
	EventResetAsked    EventKind = 5  // a registration without a proof: it waits
	EventDeletionAsked EventKind = 6  // a deletion without a proof: it waits
	EventStopped       EventKind = 7  // what waited was stopped by a proof, or is moot
	EventReset         EventKind = 8  // what waited took the place of the live one
	EventDeleted       EventKind = 9  // by its owner, or after the wait
	EventDestroyed     EventKind = 10 // the attempts were used up
	EventDeparted      EventKind = 11 // the account left for another island
	EventArrived       EventKind = 12 // it came from others
)

// Event is one thing that happened to an account, or a run of the same.
type Event struct {
	Kind   EventKind `cbor:"1,keyasint"`
	Number uint64    `cbor:"2,keyasint"` // of the newest of the run; an account's events count from 1 and never go back
	Count  uint32    `cbor:"3,keyasint"` // of the run

	// Unix time by the vault's clock, of the earliest and the latest of the
	// run. Zero where the log of an older program names no time.
	FirstMillis uint64 `cbor:"4,keyasint,omitempty"`
	LastMillis  uint64 `cbor:"5,keyasint,omitempty"`
}

// Newest is the number of the account's newest event, 0 when there is none.
func (r *StatusReport) Newest() uint64 {
	if len(r.History) == 0 {
		return 0
	}
	return r.History[len(r.History)-1].Number
}

// history is in order, with nothing twice.
func (c *check) history(events []Event) {
	c.length("history", len(events), 0, HistoryMax)
	before := uint64(0)
	for _, e := range events {
		c.value("event", e.Kind >= EventRegistered && e.Kind <= EventArrived)
		c.value("event's number", e.Number > before && uint64(e.Count) <= e.Number)
		c.value("event's count", e.Count > 0)
		c.value("event's time", e.FirstMillis <= e.LastMillis)
		before = e.Number
	}
}
