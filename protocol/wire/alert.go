package wire

// AlertsBytes is what an Alerts of n alerts is filled to before it is sealed:
// so its length tells how many there are, which the host knows from the log,
// and nothing of the accounts.
func AlertsBytes(n int) int { return alertsFixedBytes + n*alertBytesMax }

// Alert tells the operator one event of an account. Account and Number name it
// once and for ever: a reader drops what it had before.
type Alert struct {
	Account  string    `cbor:"1,keyasint"`
	Kind     EventKind `cbor:"2,keyasint"`
	Number   uint64    `cbor:"3,keyasint"` // Event.Number
	AtMillis uint64    `cbor:"4,keyasint"` // Unix time by the vault's clock

	// What it left behind.
	State     State  `cbor:"5,keyasint"`
	Left      uint8  `cbor:"6,keyasint"` // attempts left
	Limit     uint8  `cbor:"7,keyasint"`
	DueMillis uint64 `cbor:"8,keyasint,omitempty"` // when the record is destroyed, or what waits happens
}

// Alerts is the plaintext of one sealed message to the operator.
type Alerts struct {
	Version uint8   `cbor:"1,keyasint"`
	Alerts  []Alert `cbor:"2,keyasint"`
}

// SealedAlerts is an Alerts as the host carries it.
type SealedAlerts struct {
	Index  uint64 `cbor:"1,keyasint"` // of the log's entry that the last alert in it is of
	Sealed []byte `cbor:"2,keyasint"`
}

// DecodeAlerts reads and validates the plaintext of a message to the operator.
func DecodeAlerts(b []byte) (*Alerts, error) { return decode[Alerts](b) }

// Validate checks a message against every limit; its error is a *Malformed.
func (a Alerts) Validate() error {
	c := check{}
	c.version(a.Version)
	c.length("alerts", len(a.Alerts), 1, AlertsMax)
	for _, one := range a.Alerts {
		c.length("account", len(one.Account), 1, AccountBytesMax)
		c.value("event", one.Kind >= EventRegistered && one.Kind <= EventArrived)
		c.value("event's number", one.Number > 0)
		c.value("state", one.State >= StateLive && one.State <= StateArriving)
		c.value("left", one.Left <= one.Limit)
	}
	return c.result()
}

// alerts stand in the order of the log.
func (c *check) alerts(alerts []SealedAlerts) {
	c.length("alerts", len(alerts), 0, FrameItemsMax)
	before := uint64(0)
	for _, a := range alerts {
		c.length("alert", len(a.Sealed), 1, AlertBytesMax)
		c.value("alert's index", a.Index > before)
		before = a.Index
	}
}
