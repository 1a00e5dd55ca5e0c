package sim

import (
	"fmt"
	"strings"
	"testing"

	"strongroom/hsm/hsmtest"
	"strongroom/protocol/wire"
)

// bare is a judge of a world without boxes.
func bare() (*Sim, *judge) {
	s := &Sim{clock: newClock(1)}
	s.judge = newJudge(s)
	return s, s.judge
}

func ke1(n uint64) []byte { return fmt.Appendf(nil, "%33d and the rest", n) }

// guess is an attempt for a slot that is evaluated.
func (j *judge) guess(key string, number, element uint64) {
	j.sends("anna", number, ke1(element))
	j.evaluated(hsmtest.Evaluation{Wrapped: key, Point: string(ke1(element)[:elementBytes])})
}

func (j *judge) registered(key string) {
	element := string(ke1(1000)[:elementBytes])
	j.registers("anna", []byte(element))
	j.evaluated(hsmtest.Evaluation{Wrapped: key, Point: element})
}

// TestJudgeCatches: the oracle can fail.
func TestJudgeCatches(t *testing.T) {
	for want, act := range map[string]func(j *judge){
		"": func(j *judge) {
			for n := range uint64(10) {
				j.guess("k", 1+n, 1+n)
				j.guess("k", 1+n, 1+n) // a retry
			}
			j.proves("anna", 10)
			for n := range uint64(10) {
				j.guess("k", 11+n, 11+n)
			}
		},
		"11 guesses at anna without a proof": func(j *judge) {
			for n := range uint64(11) {
				j.guess("k", 1+n, 1+n)
			}
		},
		"two elements were evaluated for slot 3": func(j *judge) {
			j.guess("k", 3, 1)
			j.guess("k", 3, 2)
		},
		"registration is an oracle": func(j *judge) {
			j.guess("k", 1, 1)
			j.registers("anna", []byte("more"))
			j.evaluated(hsmtest.Evaluation{Wrapped: "k", Point: "more"})
		},
		"nobody sent": func(j *judge) { j.evaluated(hsmtest.Evaluation{Wrapped: "k", Point: "x"}) },
		"under the key of": func(j *judge) {
			j.sends("bert", 1, ke1(5))
			j.evaluated(hsmtest.Evaluation{Wrapped: "k", Point: string(ke1(5)[:elementBytes])})
		},
		"two answers for slot 1": func(j *judge) {
			j.answered("anna", 1, ke1(1), []byte("a"))
			j.answered("anna", 1, ke1(1), []byte("b"))
		},
		"another root": func(j *judge) {
			j.root(&box{number: 0}, wire.IslandReport{RootAt: 7, Root: [32]byte{1}})
			j.root(&box{number: 1}, wire.IslandReport{RootAt: 7, Root: [32]byte{2}})
		},
	} {
		s, j := bare()
		j.registered("k")
		act(j)
		said := strings.Join(s.Violations(), "; ")
		if (want == "") != (said == "") || !strings.Contains(said, want) {
			t.Errorf("%q: said %q", want, said)
		}
	}
}

// TestHistoriesAreRefused: so can the model.
func TestHistoriesAreRefused(t *testing.T) {
	told := func(refused wire.Code, state wire.State, gen int, slot uint64, wrong uint32) outcome {
		return outcome{true, refused, state, gen, slot, wrong}
	}
	live := wire.StateLive
	start := func(slot uint64, ke1 int) operation { return operation{kind: opStart, gen: 1, slot: slot, ke1: ke1} }
	registered := entry{operation{kind: opRegister, gen: 1}, told("", live, 1, 0, 0), 0, 1}
	status := operation{kind: opStatus}
	for name, c := range map[string]struct {
		legal   bool
		history []entry
	}{
		"a login": {true, []entry{
			registered, {start(1, 1), told("", live, 1, 1, 1), 2, 3},
			{operation{kind: opFinish, gen: 1, slot: 1}, told("", live, 1, 1, 0), 4, 5}, {status, told("", live, 1, 1, 0), 6, 7},
		}},
		"an open attempt that happened": {true, []entry{
			registered, {start(1, 1), outcome{}, 2, 0}, {status, told("", live, 1, 0, 0), 4, 5}, {status, told("", live, 1, 1, 1), 6, 7},
		}},
		"a charge that is forgotten": {false, []entry{
			registered, {start(1, 1), told("", live, 1, 1, 1), 2, 3}, {status, told("", live, 1, 0, 0), 6, 7},
		}},
		"two attempts had one slot": {false, []entry{
			registered, {start(1, 1), told("", live, 1, 1, 1), 2, 4}, {start(1, 2), told("", live, 1, 1, 1), 3, 5},
		}},
		"a retry is charged": {false, []entry{
			registered, {start(1, 1), outcome{}, 2, 0}, {start(1, 1), told("", live, 1, 1, 1), 3, 4}, {status, told("", live, 1, 2, 2), 6, 7},
		}},
		"a registration that was acknowledged is lost": {false, []entry{
			registered, {status, told("", wire.StateNone, 0, 0, 0), 6, 7},
		}},
		"a deleted one comes back": {false, []entry{
			registered, {operation{kind: opDelete, gen: 1}, told("", wire.StateDeleted, 1, 0, 0), 2, 3},
			{operation{kind: opRegister, gen: 1}, outcome{}, 4, 0}, {status, told("", live, 1, 0, 0), 6, 7},
		}},
		"forgiven without a proof": {false, []entry{
			registered, {start(1, 1), told("", live, 1, 1, 1), 2, 3}, {status, told("", live, 1, 1, 0), 6, 7},
		}},
	} {
		var history []*entry
		for _, e := range c.history {
			history = append(history, &e)
		}
		err := linearizable(history, func(uint64) int { return 0 })
		if (err == nil) != c.legal {
			t.Errorf("%s: %v", name, err)
		}
	}
}
