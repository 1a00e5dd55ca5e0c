package history

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"strongroom/protocol/wire"
)

// Rules are those of the fleet under test: no waits between attempts, and no
// resets.
type Rules struct {
	Attempts uint64
	Lifetime uint64
}

// single is the one copy of an account, by the rules of spec/vault.md. It is
// written anew, from the page, not from vault/internal/record.
type single struct {
	state      wire.State
	generation wire.Generation
	slot       uint64
	forgiven   uint64
	past       uint64
	ke1        [32]byte // zero: none in this generation
	rooted     bool     // an owner was ever registered
}

func (s single) live() bool { return s.state == wire.StateLive || s.state == wire.StateExhausted }

func (s single) left(r Rules) uint64 {
	spent := s.slot - s.forgiven
	left := r.Attempts - min(spent, r.Attempts)
	return min(left, r.Lifetime-min(s.past+spent, r.Lifetime))
}

// Check judges one account's history: nil where some order of what was asked,
// that keeps to the times at which it was asked and answered, gives all the
// answers that were given.
func (r Rules) Check(entries []Entry, within time.Duration) error {
	result, n := r.judge(entries, within)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("history: %d requests were not judged in %v", n, within)
	}
	return fmt.Errorf("history: no order of these %d requests gives these answers; the first that does not fit is\n%v", n, r.misfit(entries, within))
}

// misfit is the first answer after which no order is left.
func (r Rules) misfit(entries []Entry, within time.Duration) Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.Return, b.Return) })
	at := sort.Search(len(sorted), func(k int) bool {
		var seen []Entry
		for n, e := range sorted {
			if n > k && e.Call > sorted[k].Return {
				continue // not asked yet
			}
			if n > k { // not answered yet
				e.Answer, e.Return = Answer{}, never
			}
			seen = append(seen, e)
		}
		result, _ := r.judge(seen, within)
		return result == porcupine.Illegal
	})
	return sorted[min(at, len(sorted)-1)]
}

func (r Rules) judge(entries []Entry, within time.Duration) (porcupine.CheckResult, int) {
	var operations []porcupine.Operation
	for _, e := range entries {
		if e.Known && e.Report != nil && e.Kind != Status { // read somewhere between: see Rules.read
			read := Entry{Ask: Ask{Kind: Status}, Answer: Answer{Known: true, Report: e.Report}, Caller: e.Caller, Call: e.Call, Return: e.Return}
			operations = append(operations, operation(read))
		}
		if !e.settles() {
			e.Return = never
		}
		operations = append(operations, operation(e))
	}
	return porcupine.CheckOperationsTimeout(r.model(), operations, within), len(operations)
}

func operation(e Entry) porcupine.Operation {
	return porcupine.Operation{ClientId: e.Caller, Input: e, Output: e, Call: e.Call, Return: e.Return}
}

func (r Rules) model() porcupine.Model {
	return porcupine.Model{
		Init:  func() any { return single{state: wire.StateNone} },
		Step:  func(state, input, _ any) (bool, any) { return r.step(state.(single), input.(Entry)) },
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, _ any) string {
			return input.(Entry).String()
		},
	}
}

// step carries e out on s, if what was answered allows it.
//
// A node that was waiting for a leader's answer when that one died sends the
// same request to the next one (host/node/carry.go). So a refusal can be the
// second copy's, after the first was carried out, its answer lost, and another
// caller had gone on from there.
func (r Rules) step(s single, e Entry) (bool, any) {
	if s.state == wire.StateExhausted && e.tellsOfTheEnd() { // it came meanwhile, by itself
		s.state, s.ke1 = wire.StateDestroyed, [32]byte{}
	}
	after, refused := r.carry(s, e.Ask)
	switch {
	case !e.settles(): // it happened here, or was refused here: nobody knows
		return true, after
	case s.state == wire.StateExhausted && e.Kind == Start && e.Refused == wire.CodeExhausted:
		return true, s // the time for the last attempt's retries is over, too
	case e.Refused != "" && refused == "":
		return true, after // the first copy; what comes next must know of it
	case e.Refused != refused:
		return false, s
	case e.Refused != "":
		return true, s
	case e.Kind == Status:
		return r.shows(after, e.Report), after
	}
	return true, after
}

// settles tells whether the answer says what became of the request. Two
// refusals do not: a ticket that a box can not open, in clear, is the second
// copy's at another box. And a registration names, by its ticket, how often
// the account had changed when it began, which the client does not see.
func (e Entry) settles() bool {
	return e.Known && e.Refused != wire.CodeTicket && !(e.Kind == Register && e.Refused == wire.CodeReplaces)
}

// tellsOfTheEnd: the answer knows that the record is destroyed.
func (e Entry) tellsOfTheEnd() bool {
	return e.Refused == wire.CodeDestroyed || e.Report != nil && e.Report.State == wire.StateDestroyed
}

// shows: the report is of this very state.
func (r Rules) shows(s single, report *wire.StatusReport) bool {
	left := uint64(0)
	if s.state == wire.StateLive {
		left = s.left(r)
	}
	return report.State == s.state && report.Generation == s.generation && report.Slot == s.slot && uint64(report.Left) == left &&
		uint64(report.WrongEver) == s.past+s.slot-s.forgiven
}

// carry is the rules' word: the account afterwards, or why it is refused.
func (r Rules) carry(s single, a Ask) (single, wire.Code) {
	switch a.Kind {
	case Start:
		return r.debit(s, a)
	case Finish:
		return r.refill(s, a)
	case Register:
		return r.register(s, a)
	case Delete:
		return r.remove(s, a)
	}
	return s, ""
}

func (r Rules) debit(s single, a Ask) (single, wire.Code) {
	switch {
	case !s.live():
		return s, s.absent()
	case a.Generation != s.generation:
		return s, wire.CodeGeneration
	case a.Slot == s.slot && a.KE1 == s.ke1 && a.KE1 != [32]byte{}:
		return s, ""
	case s.state == wire.StateExhausted:
		return s, wire.CodeExhausted
	case a.Slot != s.slot+1:
		return s, wire.CodeSlot
	}
	s.slot, s.ke1 = a.Slot, a.KE1
	if s.left(r) == 0 {
		s.state = wire.StateExhausted
	}
	return s, ""
}

func (r Rules) refill(s single, a Ask) (single, wire.Code) {
	switch {
	case !s.live():
		return s, s.absent()
	case a.Generation != s.generation:
		return s, wire.CodeGeneration
	case a.Slot > s.slot:
		return s, wire.CodeTicket
	case a.Slot > s.forgiven:
		s.past += a.Slot - s.forgiven - 1
		s.forgiven, s.state = a.Slot, wire.StateLive
	}
	return s, ""
}

func (r Rules) register(s single, a Ask) (single, wire.Code) {
	switch {
	case s.live() && a.Generation == s.generation:
		return s, ""
	case !s.live() && a.Generation == s.generation: // it was there, and is gone
		return s, wire.CodeReplaces
	case s.live() && a.Replaces == nil:
		return s, wire.CodeOwner
	case !s.live() && a.Replaces != nil, s.live() && *a.Replaces != s.generation:
		return s, wire.CodeReplaces
	case a.Root || !s.rooted:
		s.past, s.rooted = 0, true
	default:
		s.past += s.slot - s.forgiven
	}
	s.state, s.generation, s.forgiven, s.ke1 = wire.StateLive, a.Generation, s.slot, [32]byte{}
	return s, ""
}

func (r Rules) remove(s single, a Ask) (single, wire.Code) {
	switch {
	case s.state == wire.StateDeleted && a.Generation == s.generation:
		return s, ""
	case !s.live():
		return s, s.absent()
	case a.Generation != s.generation:
		return s, wire.CodeGeneration
	}
	s.state, s.ke1 = wire.StateDeleted, [32]byte{}
	return s, ""
}

func (s single) absent() wire.Code {
	switch s.state {
	case wire.StateDestroyed:
		return wire.CodeDestroyed
	case wire.StateDeleted:
		return wire.CodeDeleted
	}
	return wire.CodeNoRecord
}
