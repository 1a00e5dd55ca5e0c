package history

import (
	"fmt"

	"strongroom/protocol/wire"
)

// Guesses judges what somebody who saw every answer of an account, right and
// wrong, could have learnt: it knows nothing of the rules but the promise.
//
//  1. An attempt is one evaluation: under one generation and slot one KE1 is
//     ever answered, and always with the same bytes.
//  2. Never more than the fleet's attempts since the last proof: for each
//     answered attempt there is a proof or a registration, asked for before
//     the answer came, at most so many attempts before it.
//
// It gives the number of attempts that were answered.
func (r Rules) Guesses(entries []Entry) (answered int, err error) {
	type attempt struct {
		generation wire.Generation
		slot       uint64
	}
	seen := map[attempt]Entry{}
	for _, e := range entries {
		if e.Kind != Start || !e.Known || e.Refused != "" {
			continue
		}
		at := attempt{e.Generation, e.Slot}
		first, again := seen[at]
		switch {
		case again && first.KE1 != e.KE1:
			return len(seen), fmt.Errorf("history: one attempt, two guesses:\n%v\n%v", first, e)
		case again && first.KE2 != e.KE2:
			return len(seen), fmt.Errorf("history: one guess, two answers:\n%v\n%v", first, e)
		case !again && !r.paid(entries, e):
			return len(seen), fmt.Errorf("history: the guess %d of %d since the last proof:\n%v", e.Slot-forgiven(entries, e), r.Attempts, e)
		}
		seen[at] = e
	}
	return len(seen), nil
}

// paid: the attempt is among those since the last proof.
func (r Rules) paid(entries []Entry, e Entry) bool { return e.Slot-forgiven(entries, e) <= r.Attempts }

// forgiven is the last attempt that a proof, or the registration of e's
// generation, could have forgiven when e was answered. Of a registration the
// client knows the slot from the first attempt that was made under it.
func forgiven(entries []Entry, e Entry) (slot uint64) {
	first := e.Slot
	for _, other := range entries {
		if other.Kind == Start && other.Generation == e.Generation && other.Known && other.Refused == "" {
			first = min(first, other.Slot)
		}
	}
	slot = first - 1 // attempts before it that nobody was answered taught nobody anything
	for _, other := range entries {
		if other.Kind == Finish && other.Generation == e.Generation && other.Call <= e.Return && other.Slot < e.Slot {
			slot = max(slot, other.Slot)
		}
	}
	return slot
}
