package record

import (
	"bytes"

	"strongroom/protocol/wire"
)

// Register makes a generation live.
type Register struct {
	Generation wire.Generation  `cbor:"1,keyasint"`
	Keys       Keys             `cbor:"2,keyasint"`
	Replaces   *wire.Generation `cbor:"3,keyasint,omitempty"`
	Proven     bool             `cbor:"4,keyasint,omitempty"` // the owner key of Replaces signed it; where nothing is live, Record.Root did
	Changes    uint64           `cbor:"5,keyasint"`           // Record.Changes when the registration began
	Reset      bool             `cbor:"6,keyasint,omitempty"` // without a proof, let it wait
	NowMillis  uint64           `cbor:"7,keyasint,omitempty"` // a Reset waits from it
	Arrive     *Arrive          `cbor:"8,keyasint,omitempty"` // with receipts, where the account is closed
}

// Apply registers. Over a live record it is compare and swap under the
// owner's proof.
//
// The attacks that it stops:
//  1. A token holder writes over a victim's record (and its spent guesses):
//     refused without the owner's signature.
//  2. Somebody on the path replays a RegisterFinish, to bring back what was
//     deleted or replaced since: Changes has moved on.
//  3. Two devices register at once and one silently loses: the second is
//     refused.
//  4. Delete or destroy, register anew, guess again, without end: the count of
//     the account's lifetime goes on, and at its end only its root owner helps.
//  5. The same with a key of one's own in between, whose proof would set the
//     count back: only the root owner's does, and an unproven registration
//     never becomes the root of an account that has one.
//  6. Register a name here that is taken at another island: where the account
//     is closed a registration waits for receipts of all islands that may hold it.
func (g Register) Apply(r Record, p Policy) (Record, wire.Code) {
	waits := r.State == wire.StateArriving && g.Arrive == nil
	if (r.live() || waits) && g.Generation == r.Generation && g.Keys.same(r.Keys) {
		return r, "" // a retry: the same answer again
	}
	if g.Reset && r.Pending.is(g) {
		return r, ""
	}
	switch {
	case g.Changes != r.Changes:
		return r, wire.CodeReplaces
	case !r.live() && p.Place.Away:
		return r, wire.CodeLayout
	case !r.open(p.Place) && g.Arrive != nil:
		return g.Arrive.open(r, p, g)
	case !r.open(p.Place):
		return g.wait(r, p)
	case !r.live() && g.Replaces != nil:
		return r, wire.CodeReplaces
	case r.live() && g.Replaces == nil:
		return r, wire.CodeOwner
	case r.live() && *g.Replaces != r.Generation:
		return r, wire.CodeReplaces
	case r.live() && !g.Proven && g.Reset:
		return r.await(&Pending{Register: &g, DueMillis: g.NowMillis + p.ResetMillis}, p)
	case r.live() && !g.Proven:
		return r, wire.CodeOwner
	}
	return g.enter(r, p)
}

// enter makes the generation live.
func (g Register) enter(r Record, p Policy) (Record, wire.Code) {
	before, keys := r, g.Keys
	r.inherit(g)
	r.State, r.Generation, r.Keys = wire.StateLive, g.Generation, &keys
	r.Forgiven, r.KE1, r.WrongBefore = r.Slot, [32]byte{}, 0
	r.Pending = nil
	if r.left(p) == 0 {
		return before, wire.CodeLifetime
	}
	r.Changes++
	return r, ""
}

// inherit settles what a registration takes over of the account's past. It
// sees the record as it stood before.
func (r *Record) inherit(g Register) {
	if !g.Proven {
		r.Marks = nil // signed by somebody else
	}
	root := g.Proven && (!r.live() || r.Keys.Owner == r.Root)
	switch {
	case root || r.Root == [32]byte{}:
		r.Root, r.Past = g.Keys.Owner, 0
	default:
		r.Past += uint32(r.spent())
	}
}

// Prover is the key whose signature proves a registration that names what it
// replaces: the live generation's owner, or, where nothing is live, the root;
// and of an account that the owner left, with receipts, or that waits for them.
// Nil when there is none.
func (r *Record) Prover(replaces *wire.Generation, a *Arrive, p Policy) *[32]byte {
	var owner [32]byte
	keys := r.live() || r.State == wire.StateArriving
	switch {
	case keys && replaces != nil && *replaces == r.Generation:
		owner = r.Keys.Owner
	case !r.live() && replaces == nil && a != nil && a.Last.Opened > r.openedAt(p.Place):
		owner = a.Last.Root
	case !r.live() && replaces == nil && a != nil && r.Departed.guarded(p, a.NowMillis):
		owner = r.Departed.Owner
	case !r.live() && replaces == nil:
		owner = r.Root
	}
	if owner == [32]byte{} { // a key of low order, under which anybody signs
		return nil
	}
	return &owner
}

// same leaves Seed out: the box draws it anew at each RegisterFinish.
func (k *Keys) same(o *Keys) bool {
	return bytes.Equal(k.Wrapped, o.Wrapped) && bytes.Equal(k.Opaque, o.Opaque) &&
		bytes.Equal(k.SealedKey, o.SealedKey) && k.Owner == o.Owner && k.Stretch == o.Stretch
}

// Delete ends a generation: by its owner's signature, checked before, or after
// a wait.
type Delete struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	Later      bool            `cbor:"2,keyasint,omitempty"` // nobody signed it
	NowMillis  uint64          `cbor:"3,keyasint,omitempty"` // Later waits from it
}

// Apply deletes the named generation and no other.
func (d Delete) Apply(r Record, p Policy) (Record, wire.Code) {
	switch {
	case r.State == wire.StateDeleted && d.Generation == r.Generation:
		return r, "" // a retry
	case r.State == wire.StateArriving && d.Generation == r.Generation && !d.Later:
		return r.unwait(), ""
	case !r.live():
		return r, r.absent()
	case d.Generation != r.Generation:
		return r, wire.CodeGeneration
	case d.Later && r.Pending != nil && r.Pending.Register == nil:
		return r, "" // waits already, no longer and no shorter
	case d.Later:
		return r.await(&Pending{DueMillis: d.NowMillis + p.ResetMillis}, p)
	}
	return r.bury(wire.StateDeleted), ""
}
