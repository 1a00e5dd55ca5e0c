package main

import (
	"testing"
	"time"

	"strongroom/protocol/wire"
)

const evening = 1_793_714_520_000 // 3 November 2026, 14:02 UTC

func TestEventsInWords(t *testing.T) {
	was := time.Local
	t.Cleanup(func() { time.Local = was })
	time.Local = time.UTC
	attempts := func(n uint32, first, last uint64) wire.Event {
		return wire.Event{Kind: wire.EventAttempts, Number: 9, Count: n, FirstMillis: first, LastMillis: last}
	}
	for want, e := range map[string]wire.Event{
		"2 wrong attempts on 3 November 2026, 14:02-14:05":                              attempts(2, evening, evening+180_000),
		"1 wrong attempt on 3 November 2026, 14:02":                                     attempts(1, evening, evening),
		"2 wrong attempts on 3 November 2026, 14:02 ":                                   attempts(2, evening, evening+59_000),
		"2 wrong attempts from 3 November 2026, 14:02 to 4 November 2026, 14:02":        attempts(2, evening, evening+86_400_000),
		"12 wrong attempts (the vault kept no time then)":                               attempts(12, 0, evening),
		"the record was destroyed: all attempts were used up on 3 November 2026, 14:02": {Kind: wire.EventDestroyed, Number: 1, Count: 1, FirstMillis: evening, LastMillis: evening},
	} {
		if want[len(want)-1] == ' ' {
			want = want[:len(want)-1]
		}
		if got := told(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	time.Local = time.FixedZone("", 13*3600)
	if got := told(attempts(1, evening, evening)); got != "1 wrong attempt on 4 November 2026, 03:02" {
		t.Errorf("in the person's zone: %q", got)
	}
	for k := wire.EventRegistered; k <= wire.EventArrived; k++ {
		if w := words[k]; w.kind == "" || w.one == "" || w.many == "" {
			t.Errorf("kind %d has no words", k)
		}
	}
}

func TestWrongSinceTheLastSuccess(t *testing.T) {
	e := func(k wire.EventKind, number uint64, count uint32, at uint64) wire.Event {
		return wire.Event{Kind: k, Number: number, Count: count, FirstMillis: at, LastMillis: at}
	}
	st := wire.StatusReport{Wrong: 5, History: []wire.Event{
		e(wire.EventAttempts, 3, 3, 1), e(wire.EventRecovered, 5, 1, 2), e(wire.EventAttempts, 7, 2, 3), e(wire.EventResetAsked, 8, 1, 4), e(wire.EventAttempts, 11, 3, 5),
	}}
	got, found := wrongSince(st)
	if !found || got.Count != 5 || got.FirstMillis != 3 || got.LastMillis != 5 {
		t.Fatalf("%+v, %v", got, found)
	}
	st.Wrong = 6 // the history does not tell them all
	if _, found := wrongSince(st); found {
		t.Fatal("times are told of attempts that the history does not hold")
	}
	st.History, st.WrongBefore = append(st.History, e(wire.EventRecovered, 13, 1, 6)), 3
	if got := wrongBefore(st); got != told(st.History[4]) {
		t.Fatalf("%q", got)
	}
}
