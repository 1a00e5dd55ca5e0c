package history

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/protocol/wire"
)

var rules = Rules{Attempts: 10, Lifetime: 100}

const judgedWithin = time.Minute

// subject is an account as a vault might keep it, or get it wrong.
type subject struct {
	single
	lose  func(n int, before, after single) single // what is kept of the nth change
	stale bool                                     // reads show what was before the last change
	last  single
	n     int
}

func (s *subject) do(ask Ask) Answer {
	before := s.single
	after, refused := rules.carry(before, ask)
	if after != before {
		s.last = before
		if s.n++; s.lose != nil {
			after = s.lose(s.n, before, after)
		}
	}
	s.single = after
	shown := after
	if s.stale && ask.Kind == Status {
		shown = s.last
	}
	answer := Answer{Known: true, Refused: refused, Report: &wire.StatusReport{
		State: shown.state, Generation: shown.generation, Slot: shown.slot, WrongEver: uint32(shown.past + shown.slot - shown.forgiven),
	}}
	if shown.state == wire.StateLive {
		answer.Report.Left = uint8(shown.left(rules))
	}
	if ask.Kind == Start && refused == "" {
		answer.KE2 = sha256.Sum256(append(ask.KE1[:], byte(ask.Slot)))
	}
	return answer
}

// run has three callers ask a subject, some answers lost, in random overlap:
// each happens at a moment between its call and its return.
func run(seed uint64, s *subject) (entries []Entry) {
	dice := rand.New(rand.NewPCG(seed, 7))
	var generation wire.Generation
	for now := int64(100); now < 8000; now += 100 {
		ask := next(dice, &generation, s)
		e := Entry{Ask: ask, Call: now - dice.Int64N(90), Return: now + dice.Int64N(90), Caller: int(now/100) % 3}
		e.Answer = s.do(ask)
		if dice.IntN(12) == 0 {
			e.Answer, e.Return = Answer{}, never
		}
		entries = append(entries, e)
	}
	return entries
}

// next is what somebody asks who knows the account, most of the time.
func next(dice *rand.Rand, generation *wire.Generation, s *subject) Ask {
	at := s.single
	ke1 := [32]byte{1, byte(dice.IntN(256)), byte(dice.IntN(256))}
	switch roll := dice.IntN(20); {
	case !at.live():
		generation[0]++
		return Ask{Kind: Register, Generation: *generation, Root: true}
	case roll < 7:
		return Ask{Kind: Start, Generation: at.generation, Slot: at.slot + 1, KE1: ke1}
	case roll < 10:
		return Ask{Kind: Finish, Generation: at.generation, Slot: at.slot}
	case roll < 12:
		return Ask{Kind: Start, Generation: at.generation, Slot: at.slot, KE1: at.ke1}
	case roll < 14: // an old slot, once more
		return Ask{Kind: Start, Generation: at.generation, Slot: max(1, at.slot-uint64(dice.IntN(2))), KE1: ke1}
	case roll < 15:
		old := at.generation
		generation[0]++
		return Ask{Kind: Register, Generation: *generation, Replaces: &old, Root: true}
	case roll < 16:
		return Ask{Kind: Delete, Generation: at.generation}
	}
	return Ask{Kind: Status}
}

// An honest account's histories are taken, whatever overlaps and gets lost.
func TestHonest(t *testing.T) {
	attempts := 0
	for seed := range uint64(60) {
		entries := run(seed, &subject{single: single{state: wire.StateNone}})
		if err := rules.Check(entries, judgedWithin); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		n, err := rules.Guesses(entries)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		attempts += n
	}
	if attempts < 60*10 {
		t.Errorf("%d attempts in all: too few to tell", attempts)
	}
}

// Accounts that are kept wrong are found out within 80 requests, most of the time.
func TestDishonest(t *testing.T) {
	keeps := map[string]func(n int, before, after single) single{
		"an acknowledged change is lost": func(n int, before, after single) single {
			if n == 20 {
				return before
			}
			return after
		},
		"a restored disk": func() func(n int, before, after single) single {
			var old single
			return func(n int, before, after single) single {
				if n == 10 {
					old = after
				}
				if n == 20 {
					return old
				}
				return after
			}
		}(),
		"a refill that was not proven": func(n int, before, after single) single {
			if n == 20 {
				after.forgiven = after.slot
			}
			return after
		},
	}
	for name, lose := range keeps {
		found := 0
		for seed := range uint64(20) {
			if rules.Check(run(seed, &subject{single: single{state: wire.StateNone}, lose: lose}), judgedWithin) != nil {
				found++
			}
		}
		if found < 10 {
			t.Errorf("%s: found in %d of 20 histories", name, found)
		}
	}
	for seed := range uint64(5) {
		if rules.Check(run(seed, &subject{single: single{state: wire.StateNone}, stale: true}), judgedWithin) == nil {
			t.Errorf("stale reads pass under seed %d", seed)
		}
	}
}

// What a thief gains is counted without the model.
func TestGuesses(t *testing.T) {
	generation := wire.Generation{1}
	guess := func(slot uint64, ke1, ke2 byte) Entry {
		return Entry{Ask: Ask{Kind: Start, Generation: generation, Slot: slot, KE1: [32]byte{ke1}}, Answer: Answer{Known: true, KE2: [32]byte{ke2}},
			Call: int64(slot) * 10, Return: int64(slot)*10 + 5}
	}
	proof := func(slot uint64, call int64) Entry {
		return Entry{Ask: Ask{Kind: Finish, Generation: generation, Slot: slot}, Call: call, Return: never}
	}
	var ten []Entry
	for slot := range uint64(10) {
		ten = append(ten, guess(slot+1, byte(slot), 0))
	}
	for _, c := range []struct {
		name, want string
		more       []Entry
	}{
		{"ten", "", nil},
		{"a retry", "", []Entry{guess(10, 9, 0)}},
		{"an eleventh", "the guess 11 of 10", []Entry{guess(11, 99, 0)}},
		{"an eleventh after a proof", "", []Entry{proof(3, 30), guess(11, 99, 0)}},
		{"an eleventh before its proof was shown", "the guess 11 of 10", []Entry{guess(11, 99, 0), proof(3, 1000)}},
		{"a second guess for one attempt", "one attempt, two guesses", []Entry{guess(10, 99, 0)}},
		{"a retry that tells more", "one guess, two answers", []Entry{guess(10, 9, 1)}},
	} {
		_, err := rules.Guesses(slices.Concat(ten, c.more))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
