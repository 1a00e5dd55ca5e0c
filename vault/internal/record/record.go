// Package record holds the rules of one account as pure functions:
// (record, command) -> (record', verdict). A command is what the island's log
// carries; it is applied only after it was committed. Nothing here knows
// secrets by value: keys are wrapped, sealed or public.
package record

import "strongroom/protocol/wire"

// Policy is fixed at the making of the fleet; no call can raise it.
type Policy struct {
	Attempts     uint8  // guesses a generation
	TicketMillis uint64 // how long a ticket is good

	// WaitsMillis[n-1] is the wait between the attempts n-1 and n since the
	// last success; none past its end.
	WaitsMillis []uint64

	Lifetime uint32 // wrong attempts of an account in all; 0 for no limit

	ResetMillis uint64 // how long what nobody has proven a right to waits; 0: it is refused

	Place Place // of the account; the one thing here that goes with layouts
}

// Record is what the vault keeps for one account. The zero value is an
// account that was never registered.
type Record struct {
	State      wire.State      `cbor:"3,keyasint,omitempty"` // zero means StateNone
	Generation wire.Generation `cbor:"4,keyasint,omitzero"`
	Keys       *Keys           `cbor:"5,keyasint,omitempty"` // nil unless live, exhausted or arriving

	// Slot counts the debits of the account in all its generations and never
	// goes back. Forgiven is the slot up to which debits no longer count: the
	// last one proven, or Slot at the registration. So the guesses spent are
	// Slot - Forgiven, and no separate counter can disagree with them.
	Slot     uint64 `cbor:"6,keyasint,omitempty"`
	Forgiven uint64 `cbor:"7,keyasint,omitempty"`

	KE1             [32]byte `cbor:"8,keyasint,omitzero"`   // SHA-256 of the KE1 that Slot was debited for; zero when none in this generation
	DebitedMillis   uint64   `cbor:"9,keyasint,omitempty"`  // when the newest attempt was debited: the latest time that any debit named
	OpenUntilMillis uint64   `cbor:"10,keyasint,omitempty"` // until then the ticket of Slot may be finished
	WrongBefore     uint32   `cbor:"11,keyasint,omitempty"` // wrong attempts that the last success forgave

	// Past counts the wrong attempts that are not among the spent ones any
	// more: forgiven by a success, or of generations that are gone. Past and
	// the spent ones are those of the account's lifetime.
	Past uint32 `cbor:"12,keyasint,omitempty"`
	// Root is the owner key whose registration sets that count back: the
	// first one's, then what it signed for. It outlives tombstones.
	Root [32]byte `cbor:"13,keyasint,omitzero"`

	Pending *Pending `cbor:"14,keyasint,omitempty"` // nil for none; never changed in place
	Resets  uint32   `cbor:"15,keyasint,omitempty"` // how many there ever were

	Marks []wire.MarkReport `cbor:"16,keyasint,omitempty"` // at most wire.MarksMax, one a device; never changed in place

	// History is what happened, the newest last: at most wire.HistoryMax
	// events, no two attempts or recoveries side by side but the newest
	// attempt. Never changed in place. Events is the number of the newest.
	History []wire.Event `cbor:"18,keyasint,omitempty"`
	Events  uint64       `cbor:"19,keyasint,omitempty"`

	// Changes counts registrations, deletions and destructions. A
	// registration names the count it started from.
	Changes uint64 `cbor:"17,keyasint,omitempty"`

	// Of a fleet of several islands.
	Opened         uint64    `cbor:"20,keyasint,omitempty"` // see openedAt
	Departed       *Departed `cbor:"21,keyasint,omitempty"` // the newest, while the account is closed here; never changed in place
	ArrivingMillis uint64    `cbor:"22,keyasint,omitempty"` // since when a registration waits for receipts
}

// Keys is what a generation needs to answer. It is dropped as a whole.
type Keys struct {
	Wrapped   []byte       `cbor:"1,keyasint"` // the OPRF key, wrapped by the HSM
	Opaque    []byte       `cbor:"2,keyasint"` // OPAQUE RegistrationRecord
	SealedKey []byte       `cbor:"3,keyasint"` // sealed by the client
	Owner     [32]byte     `cbor:"4,keyasint"` // Ed25519 public key
	Stretch   wire.Stretch `cbor:"5,keyasint"`
	Seed      [32]byte     `cbor:"6,keyasint"` // from which KE2's random values derive
}

// live tells whether the record can still be recovered.
func (r *Record) live() bool {
	return r.State == wire.StateLive || r.State == wire.StateExhausted
}

// spent is the number of guesses that count.
func (r *Record) spent() uint64 { return r.Slot - r.Forgiven }

// wrongEver is the number of wrong attempts in the account's lifetime. An
// attempt that is still open counts until its proof.
func (r *Record) wrongEver() uint64 { return uint64(r.Past) + r.spent() }

// left is the number of attempts that may still be made: a success refills
// them, but never past what is left of the lifetime.
func (r *Record) left(p Policy) uint8 {
	left := uint64(p.Attempts) - min(r.spent(), uint64(p.Attempts))
	if p.Lifetime > 0 {
		left = min(left, uint64(p.Lifetime)-min(r.wrongEver(), uint64(p.Lifetime)))
	}
	return uint8(left)
}

// waitUntilMillis is when the next attempt may be debited, 0 for at once. It
// hangs on committed times only.
//
// Whoever sets the clock back between attempts gains nothing: DebitedMillis
// keeps the latest of them, and the wait ends where it was committed to end.
func (r *Record) waitUntilMillis(p Policy) uint64 {
	spent := r.spent()
	if spent >= uint64(len(p.WaitsMillis)) || p.WaitsMillis[spent] == 0 {
		return 0
	}
	return r.DebitedMillis + p.WaitsMillis[spent]
}

// absent is why a record that is not live refuses.
func (r *Record) absent() wire.Code {
	switch r.State {
	case wire.StateDestroyed:
		return wire.CodeDestroyed
	case wire.StateDeleted:
		return wire.CodeDeleted
	case wire.StateDeparted:
		return wire.CodeDeparted
	case wire.StateArriving:
		return wire.CodeArriving
	default:
		return wire.CodeNoRecord
	}
}

// Status is what the account's holder may know, now.
func (r *Record) Status(p Policy, nowMillis uint64) *wire.StatusReport {
	s := &wire.StatusReport{
		State: r.State, Generation: r.Generation, Slot: r.Slot, Limit: p.Attempts,
		Wrong: uint32(r.spent()), WrongBefore: r.WrongBefore,
		WrongEver: uint32(r.wrongEver()), LifetimeLimit: p.Lifetime, Marks: r.Marks, Pending: r.Pending.report(), Resets: r.Resets,
		History: r.report(), Layout: p.Place.Layout, GuardedUntilMillis: r.guardedUntilMillis(p),
	}
	switch {
	case r.State == 0:
		s.State = wire.StateNone
	case r.State == wire.StateLive:
		s.Left = r.left(p)
		if until := r.waitUntilMillis(p); until > nowMillis {
			s.WaitUntilMillis = until
		}
	case r.State == wire.StateExhausted:
		s.DestroyAtMillis = r.OpenUntilMillis
	case r.State == wire.StateDeparted:
		s.Departed = &wire.Departed{To: r.Departed.To, Layout: r.Departed.Layout, Generation: r.Departed.Generation, Signed: r.Departed.Signed}
	}
	return s
}

// bury drops the keys and leaves a tombstone: the history stays.
//
// The marks stay for the owner who signed them, if he can come back over the
// tombstone: the root. What he deletes is gone with them.
func (r Record) bury(s wire.State) Record {
	if s == wire.StateDeleted || r.Keys.Owner != r.Root {
		r.Marks = nil
	}
	if s == wire.StateDeleted || r.Pending != nil && r.Pending.Register == nil {
		r.Pending = nil
	}
	r.State, r.Keys, r.KE1 = s, nil, [32]byte{}
	r.Changes++
	return r
}
