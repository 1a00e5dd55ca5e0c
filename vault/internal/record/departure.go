package record

import "strongroom/protocol/wire"

// Departed is kept of the newest departure, for ever: up to its layout the
// account is closed here.
type Departed struct {
	To         [wire.PinBytes]byte `cbor:"1,keyasint"`
	Layout     uint64              `cbor:"2,keyasint"`
	Generation wire.Generation     `cbor:"3,keyasint"`           // there
	Before     wire.State          `cbor:"4,keyasint"`           // what was here
	Signed     bool                `cbor:"5,keyasint,omitempty"` // by the owner of a live record, for this generation

	// Of the live record that left: its owner, who alone decides for a while
	// where to, its generation, when it left, and the guesses spent of it; zero
	// where none did.
	Owner    [32]byte        `cbor:"6,keyasint,omitzero"`
	Left     wire.Generation `cbor:"7,keyasint,omitzero"`
	AtMillis uint64          `cbor:"8,keyasint,omitempty"`
	Spent    uint32          `cbor:"9,keyasint,omitempty"`
}

// Depart closes the account up to a layout: its home there is another island.
type Depart struct {
	To         [wire.PinBytes]byte `cbor:"1,keyasint"`
	Layout     uint64              `cbor:"2,keyasint"`
	Generation wire.Generation     `cbor:"3,keyasint"`
	Live       wire.Generation     `cbor:"4,keyasint,omitzero"` // of the Departer who signed it; zero: nobody did
	NowMillis  uint64              `cbor:"5,keyasint"`
}

// Apply closes it; what it already closed for the same registration it closes
// for later layouts too, and for the same layout it answers again.
//
// The attacks that it stops:
//  1. A token's thief sends a live record away, to a registration of his own:
//     only its owner sends it.
//  2. The owner left, and the thief names another registration, at the same
//     home or at that of a newer layout, before the owner's has arrived: for
//     the reset delay only the owner who left names another. (After it anybody
//     may, as with a reset: an account is not lost with a key. Where it has
//     arrived elsewhere meanwhile, that island counts, and this one's word opens
//     nothing.)
//  3. Depart in an older layout than one in which the account came: what
//     brought it here would bring it here again. Only the newest will do.
//  4. Sign for a registration of one's own that waits here, and have the
//     owner's, which arrives in the same moment, sent away by it: a signature is
//     for one generation.
//  5. Send the last attempt away while it is open: exhausted records stay.
//  6. Whoever has a key that was replaced since keeps the account guarded by
//     signing again and again: the delay runs once, from when the record left.
//  7. A layout comes between a departure and its arrival, and the receipt was
//     lost: what was said once is said again, whatever was learnt since.
func (d Depart) Apply(r Record, p Policy) (Record, wire.Code) {
	left := r.Departed
	by := r.Departer(p, d.NowMillis)
	signed := by != nil && d.Live != wire.Generation{} && d.Live == by.Live
	same := r.State == wire.StateDeparted && left.To == d.To && left.Generation == d.Generation
	switch {
	case same && left.Layout == d.Layout:
		return r, "" // a retry
	case d.Layout == 0 || d.Layout != p.Place.Layout || !p.Place.Away || d.To != p.Place.Home:
		return r, wire.CodeLayout
	case r.State == wire.StateExhausted:
		return r, wire.CodeExhausted
	case !same && by != nil && by.Needed && !signed:
		return r, wire.CodeOwner
	}
	now := Departed{To: d.To, Layout: d.Layout, Generation: d.Generation, Before: max(r.State, wire.StateNone)}
	switch {
	case same:
		now = *left
		now.Layout = d.Layout
	case r.live():
		now.Signed, now.Owner, now.Left, now.AtMillis, now.Spent = true, r.Keys.Owner, r.Generation, d.NowMillis, uint32(r.spent())
	case left != nil: // another is named
		now.Before, now.Signed = left.Before, signed && d.Live == left.Left
		now.Owner, now.Left, now.AtMillis, now.Spent = left.Owner, left.Left, left.AtMillis, left.Spent
	case r.State == wire.StateArriving:
		now.Before = wire.StateNone // nothing that waits was ever open
	}
	r.Past, r.Forgiven = uint32(r.wrongEver()), r.Slot // counted, by whomever it comes to
	r.State, r.Keys, r.KE1, r.Pending, r.Departed = wire.StateDeparted, nil, [32]byte{}, nil, &now
	r.Changes++
	return r, ""
}

// Departer is the key whose signature sends the account away, and the
// generation that it signs for; nil where nobody's helps.
func (r *Record) Departer(p Policy, nowMillis uint64) *Departer {
	left := r.Departed
	switch {
	case r.live():
		return &Departer{r.Keys.Owner, r.Generation, true}
	case left.guarded(p, nowMillis):
		return &Departer{left.Owner, left.Left, true}
	case r.guarded(p, nowMillis):
		return &Departer{r.Keys.Owner, r.Generation, true}
	case left != nil && left.Owner != [32]byte{}:
		return &Departer{left.Owner, left.Left, false}
	}
	return nil
}

// Departer may send an account away.
type Departer struct {
	Owner  [32]byte
	Live   wire.Generation
	Needed bool // else anybody may, and what they name is not the owner's word
}

// Receipt is what the island says of an account that departed, but for the
// signature and whose word it is.
func (r *Record) Receipt(at Place) *wire.Receipt {
	past := &wire.Past{History: r.report(), Marks: r.Marks}
	var owner [32]byte
	if r.Departed.Signed {
		owner = r.Departed.Owner
	}
	return &wire.Receipt{
		Spent: r.Departed.Spent, Owner: owner,
		Layout: r.Departed.Layout, Before: r.Departed.Before, Opened: r.openedAt(at), Signed: r.Departed.Signed,
		Slot: r.Slot, Wrong: r.Past, Root: r.Root, Resets: r.Resets, Changes: r.Changes, Events: r.Events,
		PastHash: past.Hash(), Past: past,
	}
}
