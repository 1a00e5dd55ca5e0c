package record

import "strongroom/protocol/wire"

// Arrive opens the account for a registration: every older home has closed it
// and named that registration, by receipts whose signatures were checked before.
type Arrive struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Layout     uint64          `cbor:"2,keyasint"` // the newest, when the older homes were told
	Least      uint64          `cbor:"3,keyasint"` // the lowest layout of a receipt
	Last       wire.Receipt    `cbor:"4,keyasint"` // the one that was opened last, without its signature
	NowMillis  uint64          `cbor:"5,keyasint"`
}

// Apply opens the account for the registration that waits.
func (a Arrive) Apply(r Record, p Policy) (Record, wire.Code) {
	switch {
	case r.live() && a.Generation == r.Generation:
		return r, "" // a retry
	case r.live() || r.State == wire.StateArriving && a.Generation != r.Generation:
		return r, wire.CodeGeneration
	case r.State != wire.StateArriving:
		return r, r.absent()
	}
	return a.open(r, p, Register{Generation: r.Generation, Keys: *r.Keys})
}

// open makes a registration live, as one over a tombstone with what was
// counted elsewhere.
//
// The attacks that it stops:
//  1. Two islands open at once, each with the guesses of a whole budget: each
//     older home has closed the account up to a layout, after the commit.
//     Which those are hangs on the newest layout: if it became another one
//     since they were told, look again.
//  2. Receipts of an earlier arrival, after the account left from here: they
//     are of layouts up to which this island closed it itself.
//  3. Go round by another island to have the lifetime's wrong attempts
//     forgotten, or a destroyed record's past: what was counted comes along,
//     from whoever was open last; of older words none counts.
//  4. It was here that the owner was last and left from, and the home is here
//     again before his registration arrived anywhere: for the reset delay
//     nobody else's opens.
func (a Arrive) open(r Record, p Policy, g Register) (Record, wire.Code) {
	at := p.Place
	switch {
	case at.Away || a.Layout != at.Layout:
		return r, wire.CodeLayout
	case r.Departed != nil && a.Least <= r.Departed.Layout:
		return r, wire.CodeReceipt
	}
	before := r
	g.Proven = g.Proven && g.Replaces == nil // else by whom a registration waited for, who is nobody yet
	signed := a.Last.Signed
	if a.Last.Opened > r.openedAt(at) {
		r.carry(a.Last)
	} else {
		signed = g.Proven && r.Departed.guarded(p, a.NowMillis)
		if !signed && r.Departed.guarded(p, a.NowMillis) {
			return before, wire.CodeOwner
		}
		g.Proven = g.Proven && (!signed || r.Departed.Owner == r.Root)
	}
	marks := r.Marks
	r.State, r.Keys = wire.StateNone, nil
	r, refused := g.enter(r, p)
	if refused != "" {
		return before, refused
	}
	if signed {
		r.Marks = marks // their owner named this registration
	}
	r.Opened, r.Departed, r.ArrivingMillis = at.Layout+1, nil, 0
	return r, ""
}

// carry takes over what was counted elsewhere.
func (r *Record) carry(last wire.Receipt) {
	r.Slot = max(r.Slot, last.Slot)
	r.Forgiven, r.Past, r.Root = r.Slot, last.Wrong, last.Root
	r.Resets, r.Changes = max(r.Resets, last.Resets), max(r.Changes, last.Changes)
	r.Events, r.History, r.Marks = last.Events, nil, nil
	if last.Past != nil {
		r.History, r.Marks = last.Past.History, last.Past.Marks
	}
}

// wait keeps a registration until its receipts come. Nothing of it counts yet.
//
// The attack that it stops: a token's thief throws away the registration that
// the owner has left his island for already. For the reset delay, from when the
// first one came, it makes room only for its own owner; or for one with
// receipts, which name it.
func (g Register) wait(r Record, p Policy) (Record, wire.Code) {
	switch {
	case g.Replaces != nil && (r.State != wire.StateArriving || *g.Replaces != r.Generation):
		return r, wire.CodeReplaces
	case r.guarded(p, g.NowMillis) && !(g.Proven && g.Replaces != nil):
		return r, wire.CodeArriving
	}
	if r.State != wire.StateArriving {
		r.ArrivingMillis = g.NowMillis
	}
	keys := g.Keys
	r.State, r.Generation, r.Keys = wire.StateArriving, g.Generation, &keys
	r.Changes++
	return r, ""
}
