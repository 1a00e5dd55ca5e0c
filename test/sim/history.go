package sim

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"strongroom/protocol/wire"
)

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{modelled{state: wire.StateNone}} },
	Step: func(state, input, output any) []any {
		return state.(modelled).step(input.(operation), output.(outcome))
	},
}

// checkPatience is with one history. Those of legal runs take milliseconds.
const checkPatience = time.Minute

const never = time.Duration(math.MaxInt64)

// linearizable checks an account's history (P4): nil, or the reason.
// Won tells which KE1 a slot was evaluated for, 0 for none: that there is one
// at most the judge sees to.
func linearizable(history []*entry, won func(slot uint64) int) error {
	kept, err := narrow(open(history, won))
	if err != nil {
		return err
	}
	var operations []porcupine.Operation
	for _, e := range kept {
		operations = append(operations, porcupine.Operation{
			Input: e.operation, Output: e.outcome, Call: int64(e.call), Return: int64(e.back),
		})
	}
	switch porcupine.CheckOperationsTimeout(model.ToModel(), operations, checkPatience) {
	case porcupine.Ok:
		return nil
	case porcupine.Illegal:
		return fmt.Errorf("the history of %d operations is that of no single copy", len(history))
	default:
		return fmt.Errorf("the history of %d operations was not checked in %s", len(history), checkPatience)
	}
}

// open leaves out of a history the operations of open outcome that can not
// matter, or the search for an order would take for ever: those that change
// nothing, that ask for a slot which another attempt had, and the later of
// those that ask for the same thing as one that was carried out.
func open(history []*entry, won func(slot uint64) int) (kept []entry) {
	history = slices.SortedStableFunc(slices.Values(history), func(a, b *entry) int { return cmp.Compare(a.call, b.call) })
	first := map[operation]bool{}
	for _, e := range history {
		if !e.known {
			if e.kind == opStatus || first[e.operation] {
				continue
			}
			if w := won(e.operation.slot); e.kind == opStart && w != 0 && w != e.operation.ke1 {
				continue
			}
		}
		if !e.known || e.refused == "" {
			first[e.operation] = true
		}
		k := *e
		if !e.known {
			k.back = never
		}
		kept = append(kept, k)
	}
	return kept
}

// sees tells the slot that the account stood at when the operation took
// effect, where its outcome tells that.
func (e *entry) sees() (uint64, bool) {
	switch {
	case !e.known:
		return 0, false
	case e.kind == opStatus || e.refused != "":
		return e.outcome.slot, true
	case e.kind == opStart:
		return e.operation.slot, true
	}
	return 0, false
}

// narrow says of each operation more closely when it took effect. The slot of
// an account only goes up, and most outcomes tell it: so it came to slot n
// after whatever saw less was asked for, and before whatever saw n or more was
// answered. Without that the search tries all orders of what was asked at the
// same time. Its error: the slot went back.
func narrow(history []entry) ([]entry, error) {
	earliest, latest := map[uint64]time.Duration{}, map[uint64]time.Duration{} // when the slot was reached
	slots := map[uint64]bool{}
	for i := range history {
		e := &history[i]
		if n, told := e.sees(); told {
			earliest[n+1] = max(earliest[n+1], e.call)
			slots[n], slots[n+1] = true, true
		}
		if e.known {
			n := e.outcome.slot
			if _, found := latest[n]; !found || e.back < latest[n] {
				latest[n] = e.back
			}
			slots[n] = true
		}
	}
	ascending := slices.Sorted(maps.Keys(slots))
	for i, n := range ascending {
		if i > 0 {
			earliest[n] = max(earliest[n], earliest[ascending[i-1]])
		}
	}
	before := never
	for _, n := range slices.Backward(ascending) {
		if at, found := latest[n]; found {
			before = min(before, at)
		}
		latest[n] = before
	}
	for i := range history {
		e := &history[i]
		n, told := e.sees()
		if !told && e.kind == opStart {
			e.call = max(e.call, earliest[e.operation.slot])
		}
		if !told {
			continue
		}
		e.call = max(e.call, earliest[n])
		if at, found := latest[n+1]; found {
			e.back = min(e.back, at)
		}
		if e.call > e.back {
			return nil, fmt.Errorf("the slot went back to %d: %+v", n, *e)
		}
	}
	slices.SortStableFunc(history, func(a, b entry) int { return cmp.Compare(a.call, b.call) })
	return history, nil
}
