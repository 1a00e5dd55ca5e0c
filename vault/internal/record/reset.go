package record

import "strongroom/protocol/wire"

// Pending is a change that nobody has proven a right to. It waits, while the
// record stays usable, so that whoever has the password or K can stop it.
//
// The attacks that it stops:
//  1. Whoever holds the account's token takes the record from its owner: for
//     the whole wait any proof of the owner's stops it, and status tells it.
//  2. A reset as a way to fresh guesses: what was spent stays spent in the new
//     generation, and so does the count of the lifetime.
//  3. A reset that cuts the last attempt off: it waits for the open ticket.
//  4. Ask again and again, to put the owner's own reset off or one's own
//     forward: one waits at a time, and its time stands.
type Pending struct {
	Register  *Register `cbor:"1,keyasint,omitempty"` // nil: a deletion
	DueMillis uint64    `cbor:"2,keyasint"`           // it may happen after
}

// is tells a retry of the very registration that waits.
func (w *Pending) is(g Register) bool {
	return w != nil && w.Register != nil && w.Register.Generation == g.Generation && w.Register.Keys.same(&g.Keys)
}

func (w *Pending) report() *wire.Pending {
	if w == nil {
		return nil
	}
	p := &wire.Pending{AtMillis: w.DueMillis}
	if w.Register != nil {
		g := w.Register.Generation
		p.Generation = &g
	}
	return p
}

// await lets a change wait, where the fleet has such a wait and none waits yet.
func (r Record) await(w *Pending, p Policy) (Record, wire.Code) {
	switch {
	case p.ResetMillis == 0:
		return r, wire.CodeOwner
	case r.Pending != nil:
		return r, wire.CodePending
	}
	r.Pending = w
	r.Resets++
	r.Changes++ // a registration that began before must look again
	return r, ""
}

// stop ends what waits, on a proof. What began before it is void: a
// RegisterFinish that somebody kept can not let it wait once more.
func (r *Record) stop() {
	if r.Pending != nil {
		r.Pending = nil
		r.Changes++
	}
}

// Cancel is the owner's word, his signature checked before, that what waits
// for DueMillis shall not be.
type Cancel struct {
	Generation wire.Generation `cbor:"1,keyasint"`
	DueMillis  uint64          `cbor:"2,keyasint"`
	NowMillis  uint64          `cbor:"3,keyasint,omitempty"`
}

// Apply stops that change and no later one: a Cancel that somebody kept does
// not keep the account from its next reset.
func (c Cancel) Apply(r Record) (Record, wire.Code) {
	switch {
	case !r.live():
		return r, r.absent()
	case c.Generation != r.Generation:
		return r, wire.CodeGeneration
	case r.Pending == nil:
		return r, "" // a retry, or nothing to stop
	case r.Pending.DueMillis != c.DueMillis:
		return r, wire.CodeReplaces
	}
	r.stop()
	return r, ""
}

// DueMillis is after when something happens to the record by itself: Destroy
// when it is exhausted, else Mature. False when nothing does.
func (r *Record) DueMillis() (uint64, bool) {
	switch {
	case r.State == wire.StateExhausted:
		return r.OpenUntilMillis, true
	case r.Pending != nil:
		return max(r.Pending.DueMillis, r.OpenUntilMillis), true
	}
	return 0, false
}

// Mature carries out what waited for DueMillis and was not stopped.
type Mature struct {
	DueMillis uint64 `cbor:"1,keyasint"`
	NowMillis uint64 `cbor:"2,keyasint"`
}

// Apply does nothing before the time, to anything else that waits, or while
// an attempt is open: the right password at the last moment wins. An exhausted
// record is destroyed first.
func (m Mature) Apply(r Record, p Policy) (Record, bool) {
	at, _ := r.DueMillis()
	if r.Pending == nil || r.Pending.DueMillis != m.DueMillis || r.State == wire.StateExhausted || m.NowMillis <= at {
		return r, false
	}
	g := r.Pending.Register
	r.stop()
	switch {
	case g == nil:
		return r.bury(wire.StateDeleted), true
	case r.live():
		return r.reset(*g), true
	}
	// The old generation was destroyed meanwhile: as over any tombstone.
	after, refused := g.enter(r, p)
	if refused != "" {
		return r, true
	}
	return after, true
}

// reset puts the new generation in the place of the live one, with its
// failures. Nobody objected for the whole wait: so its owner is the root.
func (r Record) reset(g Register) Record {
	keys := g.Keys
	r.Generation, r.Keys, r.Root = g.Generation, &keys, keys.Owner
	r.KE1, r.WrongBefore, r.Marks = [32]byte{}, 0, nil
	r.Changes++
	return r
}
