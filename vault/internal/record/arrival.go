package record

import "strongroom/protocol/wire"

// Arrive opens the account for a registration: every older home has closed it
// and named that registration, by receipts whose signatures were checked before.
type Arrive struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Layout     uint64          `cbor:"2,keyasint"` // in which this island is the home: the newest one, when the older homes were told
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
//  5. Wake what waits here from before the record was destroyed, deleted or
//     reset at the older home, for ten more guesses at the same key, or at a
//     password that was changed for having leaked: what waited opens over
//     nothing, or by the word of its own owner, who sent the live record to it.
//     Else one begins anew, with the receipts in hand.
//  6. Hold the owner's departure back until all guesses but one are spent: of
//     what waited the spent ones stay spent.
//
// What waited opens in the newest layout whose home this island is, though
// there be a newer one with another: else a layout that comes between departure
// and arrival would bury the only copy. That other one opens only by this
// island's receipt, after which nothing opens here up to its layout.
func (a Arrive) open(r Record, p Policy, g Register) (Record, wire.Code) {
	at, waited, spent := p.Place, g.Arrive == nil, a.Last.Spent
	switch {
	case waited && a.Layout != at.Latest || !waited && (at.Away || a.Layout != at.Layout):
		return r, wire.CodeLayout
	case r.Departed != nil && min(a.Least, a.Layout) <= r.Departed.Layout:
		return r, wire.CodeReceipt
	case waited && a.Last.Opened > r.openedAt(at) && !a.wakes(g.Keys.Owner):
		return r, wire.CodeReceipt
	}
	before := r
	g.Proven = g.Proven && g.Replaces == nil // else by whom a registration waited for, who is nobody yet
	signed := a.Last.Signed
	if a.Last.Opened > r.openedAt(at) {
		r.carry(a.Last)
	} else {
		spent = r.spentAway()
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
	if waited && spent > 0 {
		r.Forgiven -= uint64(spent)
		r.Past -= min(r.Past, spent)
		r.DebitedMillis = max(r.DebitedMillis, a.NowMillis)
	}
	r.Opened, r.Departed, r.ArrivingMillis = a.Layout+1, nil, 0
	return r, ""
}

// wakes tells whether a registration of this owner's, which waited, may open.
func (a Arrive) wakes(owner [32]byte) bool {
	return a.Last.Before == wire.StateNone || a.Last.Signed && a.Last.Owner == owner
}

// spentAway is the guesses that were spent of the live record that left.
func (r *Record) spentAway() uint32 {
	if r.Departed == nil {
		return 0
	}
	return r.Departed.Spent
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
// the owner has left his island for already. For the reset delay it makes room
// only for its own owner; or for one with receipts, which name it. Each has a
// delay of its own: one that inherited a stranger's would have none left.
func (g Register) wait(r Record, p Policy) (Record, wire.Code) {
	switch {
	case g.Replaces != nil && (r.State != wire.StateArriving || *g.Replaces != r.Generation):
		return r, wire.CodeReplaces
	case r.guarded(p, g.NowMillis) && !(g.Proven && g.Replaces != nil):
		return r, wire.CodeArriving
	}
	r.ArrivingMillis = g.NowMillis
	keys := g.Keys
	r.State, r.Generation, r.Keys = wire.StateArriving, g.Generation, &keys
	r.Changes++
	return r, ""
}

// unwait drops what waits for receipts, and leaves the account closed.
func (r Record) unwait() Record {
	r.State, r.Keys, r.ArrivingMillis = wire.StateNone, nil, 0
	if r.Departed != nil {
		r.State = wire.StateDeparted
	}
	r.Changes++
	return r
}
