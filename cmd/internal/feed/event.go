package feed

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"strongroom/protocol/wire"
)

// Event is an alert as the operator's programs read it: one JSON object.
type Event struct {
	ID      string    `json:"id"`      // the same for the same event, for ever: drop what you had
	Fleet   string    `json:"fleet"`   // its id, hexadecimal
	Account string    `json:"account"` // the name in the account's token
	Event   string    `json:"event"`
	Number  uint64    `json:"number"` // counts the account's events
	Time    time.Time `json:"time"`   // by the vault's clock
	State   string    `json:"state"`  // of the record, after it
	Left    uint8     `json:"attemptsLeft"`
	Limit   uint8     `json:"attemptsLimit"`
	Due     string    `json:"due,omitempty"` // RFC 3339: when the record is destroyed, or what waits happens
}

// names of events: each attempt is told by itself, wrong or not; a right one
// is followed by "recovered".
var names = map[wire.EventKind]string{
	wire.EventRegistered: "registered", wire.EventReplaced: "replaced", wire.EventAttempts: "attempt", wire.EventRecovered: "recovered",
	wire.EventResetAsked: "reset-asked", wire.EventDeletionAsked: "deletion-asked", wire.EventStopped: "stopped",
	wire.EventReset: "reset", wire.EventDeleted: "deleted", wire.EventDestroyed: "destroyed",
	wire.EventDeparted: "departed", wire.EventArrived: "arrived",
}

var states = map[wire.State]string{
	wire.StateLive: "live", wire.StateExhausted: "exhausted", wire.StateDestroyed: "destroyed", wire.StateDeleted: "deleted",
	wire.StateDeparted: "departed", wire.StateArriving: "arriving",
}

func eventOf(fleet wire.FleetID, a wire.Alert) Event {
	e := Event{
		ID: idOf(fleet, a), Fleet: hex.EncodeToString(fleet[:]), Account: a.Account, Event: names[a.Kind], Number: a.Number,
		Time: time.UnixMilli(int64(a.AtMillis)).UTC(), State: states[a.State], Left: a.Left, Limit: a.Limit,
	}
	if a.DueMillis != 0 {
		e.Due = time.UnixMilli(int64(a.DueMillis)).UTC().Format(time.RFC3339)
	}
	return e
}

// idOf hangs on what names an event, and on nothing that a restart changes.
func idOf(fleet wire.FleetID, a wire.Alert) string {
	h := sha256.New()
	h.Write(fleet[:])
	h.Write(binary.BigEndian.AppendUint64(nil, a.Number))
	h.Write([]byte(a.Account))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
