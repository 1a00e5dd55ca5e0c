package record

import "strongroom/protocol/wire"

// Debit charges one guess.
type Debit struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Slot       uint64          `cbor:"2,keyasint"`
	KE1        [32]byte        `cbor:"3,keyasint"` // SHA-256 of KE1
	NowMillis  uint64          `cbor:"4,keyasint"`
}

// Ticket is the right to one evaluation. Only Debit makes one, and Debit is
// applied only after it was committed: so the order "charge, then answer" is
// a matter of types. Its zero value opens nothing.
type Ticket struct {
	keys            *Keys
	generation      wire.Generation
	slot            uint64
	ke1             [32]byte
	openUntilMillis uint64
}

// Valid tells whether a debit stands behind the ticket.
func (t Ticket) Valid() bool                 { return t.keys != nil }
func (t Ticket) Keys() *Keys                 { return t.keys }
func (t Ticket) Generation() wire.Generation { return t.generation }
func (t Ticket) Slot() uint64                { return t.slot }
func (t Ticket) KE1() [32]byte               { return t.ke1 }
func (t Ticket) OpenUntilMillis() uint64     { return t.openUntilMillis }

// Verdict of a debit.
type Verdict struct {
	Ticket  Ticket
	Charged bool // false for a retry
	Refused wire.Code
}

// Apply charges the next slot, or repeats the last one for the same KE1.
//
// The attacks that it stops:
//  1. Ask twice for one charge: another KE1 under the same slot is refused,
//     so a slot stands for one blinded element.
//  2. Replay an old request for a fresh answer: any slot but the last and the
//     next is refused.
//  3. Guess on after the last attempt: exhausted, also before destruction.
//  4. Carry a slot over into a new generation, where the same KE1 would meet
//     another key and so be a guess that nobody charged: a registration
//     clears KE1, so a retry finds nothing to repeat.
//  5. Guess as fast as the line allows: the later attempts wait. The refusal
//     comes before the charge, and after the retry, which is no guess.
func (d Debit) Apply(r Record, p Policy) (Record, Verdict) {
	switch {
	case !r.live():
		return r, Verdict{Refused: r.absent()}
	case d.Generation != r.Generation:
		return r, Verdict{Refused: wire.CodeGeneration}
	case d.Slot == r.Slot && d.KE1 == r.KE1 && d.KE1 != [32]byte{}:
		return r, r.repeat(d, p)
	case r.State == wire.StateExhausted:
		return r, Verdict{Refused: wire.CodeExhausted}
	case d.Slot != r.Slot+1:
		return r, Verdict{Refused: wire.CodeSlot}
	case d.NowMillis < r.waitUntilMillis(p):
		return r, Verdict{Refused: wire.CodeWait}
	}
	r.Slot, r.KE1 = d.Slot, d.KE1
	r.DebitedMillis = max(r.DebitedMillis, d.NowMillis)
	r.OpenUntilMillis = d.NowMillis + p.TicketMillis
	if r.left(p) == 0 {
		r.State = wire.StateExhausted
	}
	return r, Verdict{Ticket: r.ticket(r.OpenUntilMillis), Charged: true}
}

// repeat answers a retry. The ticket of the last attempt of all is not
// renewed: its record is about to be destroyed.
func (r *Record) repeat(d Debit, p Policy) Verdict {
	if r.State == wire.StateExhausted {
		if d.NowMillis > r.OpenUntilMillis {
			return Verdict{Refused: wire.CodeExhausted}
		}
		return Verdict{Ticket: r.ticket(r.OpenUntilMillis)}
	}
	return Verdict{Ticket: r.ticket(d.NowMillis + p.TicketMillis)}
}

func (r *Record) ticket(openUntilMillis uint64) Ticket {
	return Ticket{keys: r.Keys, generation: r.Generation, slot: r.Slot, ke1: r.KE1, openUntilMillis: openUntilMillis}
}

// Refill follows an accepted proof of the password for one slot.
type Refill struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Slot       uint64          `cbor:"2,keyasint"`
	NowMillis  uint64          `cbor:"3,keyasint,omitempty"`
}

// Apply forgives the slots up to the proven one, and no later one: a proof
// that is held back and shown after more guesses does not pay for them. Shown
// again it forgives nothing new.
func (f Refill) Apply(r Record, p Policy) (Record, wire.Code) {
	switch {
	case !r.live():
		return r, r.absent()
	case f.Generation != r.Generation:
		return r, wire.CodeGeneration
	case f.Slot > r.Slot:
		return r, wire.CodeTicket
	case f.Slot <= r.Forgiven:
		return r, "" // a retry: the same answer again
	}
	r.WrongBefore = uint32(f.Slot - r.Forgiven - 1)
	r.Past += r.WrongBefore // forgiven, not forgotten: see Record.left
	r.Forgiven = f.Slot
	r.State = wire.StateLive
	r.stop() // a proof of the password
	return r, ""
}

// Destroy ends a record whose last attempt was not proven in time.
type Destroy struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Slot       uint64          `cbor:"2,keyasint"`
	NowMillis  uint64          `cbor:"3,keyasint"`
}

// Apply destroys only the state that was seen: a proof committed in between
// wins.
func (d Destroy) Apply(r Record) (Record, bool) {
	if r.State != wire.StateExhausted || d.Generation != r.Generation || d.Slot != r.Slot || d.NowMillis <= r.OpenUntilMillis {
		return r, false
	}
	return r.bury(wire.StateDestroyed), true
}
