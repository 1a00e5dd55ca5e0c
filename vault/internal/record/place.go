package record

import "strongroom/protocol/wire"

// Place is what the island knows of where an account belongs (spec/layout.md).
// Its zero value is that of an account whose fleet has one island.
type Place struct {
	Layout uint64              // the newest that the island knows
	Home   [wire.PinBytes]byte // the account's home in it
	Away   bool                // Home is another island than this one
	Latest uint64              // the newest layout in which this island is the account's home
	Later  bool                // this island joined later: nothing is open here that has not arrived
}

// open tells whether attempts and registrations of the account are this
// island's: at one island at most.
func (r *Record) open(at Place) bool {
	switch r.State {
	case wire.StateDeparted, wire.StateArriving:
		return false
	case 0, wire.StateNone:
		return !at.Later
	}
	return true
}

// openedAt is one more than the layout since which the account was last open
// here, 0 for never. Each opening is of a higher layout than all before it, on
// whatever island: so of two the higher one was later.
func (r *Record) openedAt(at Place) uint64 {
	if r.Opened == 0 && !at.Later {
		return 1 // the founder's, from layout 0 on
	}
	return r.Opened
}

// guarded tells whether only an owner's signature decides to whom a closed
// account goes. As with a reset, the owner has a while to come.
func (d *Departed) guarded(p Policy, nowMillis uint64) bool {
	return d != nil && d.Owner != [32]byte{} && nowMillis <= d.AtMillis+p.ResetMillis
}

// guarded tells the same of a registration that waits for receipts.
func (r *Record) guarded(p Policy, nowMillis uint64) bool {
	return r.State == wire.StateArriving && nowMillis <= r.ArrivingMillis+p.ResetMillis
}

// GuardedUntilMillis is when that ends; 0 for nothing guarded.
func (r *Record) guardedUntilMillis(p Policy) (until uint64) {
	if d := r.Departed; d != nil && d.Owner != [32]byte{} {
		until = d.AtMillis + p.ResetMillis
	}
	if r.State == wire.StateArriving {
		until = max(until, r.ArrivingMillis+p.ResetMillis)
	}
	return until
}
