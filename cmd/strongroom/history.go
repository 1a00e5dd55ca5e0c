package main

import (
	"fmt"
	"time"

	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/wire"
)

// historyEvent is a wire.Event for programs.
type historyEvent struct {
	Kind   string `json:"kind"`
	Number uint64 `json:"number"`
	Count  uint32 `json:"count"`
	First  string `json:"first,omitempty"` // RFC 3339; both are left out where the vault keeps no time
	Last   string `json:"last,omitempty"`
}

// words says what an event is to programs, and to people: of one, and of a
// run, where those differ.
var words = map[wire.EventKind]struct{ kind, one, many string }{
	wire.EventRegistered:    {"registered", "a key was registered", "registrations"},
	wire.EventReplaced:      {"replaced", "the record was replaced, by its owner", "replacements by the owner"},
	wire.EventAttempts:      {"wrong-attempts", "1 wrong attempt", "wrong attempts"},
	wire.EventRecovered:     {"recovered", "the right password", "times the right password"},
	wire.EventResetAsked:    {"reset-asked", "somebody without password and key asked for another registration", "times somebody without password and key asked for another registration"},
	wire.EventDeletionAsked: {"deletion-asked", "somebody without password and key asked for the deletion", "times somebody without password and key asked for the deletion"},
	wire.EventStopped:       {"stopped", "what was asked for was stopped", "times what was asked for was stopped"},
	wire.EventReset:         {"reset", "nobody stopped it: another registration took the place", "times another registration took the place"},
	wire.EventDeleted:       {"deleted", "the record was deleted", "deletions"},
	wire.EventDestroyed:     {"destroyed", "the record was destroyed: all attempts were used up", "times the record was destroyed"},
	wire.EventDeparted:      {"departed", "the account left for another island of the vault", "times the account left for another island of the vault"},
	wire.EventArrived:       {"arrived", "the account came to its island", "times the account came to its island"},
}

func historyOf(st wire.StatusReport) []historyEvent {
	events := make([]historyEvent, 0, len(st.History))
	for _, e := range st.History {
		h := historyEvent{Kind: words[e.Kind].kind, Number: e.Number, Count: e.Count}
		if e.FirstMillis != 0 {
			h.First, h.Last = at(e.FirstMillis).Format(time.RFC3339), at(e.LastMillis).Format(time.RFC3339)
		}
		events = append(events, h)
	}
	return events
}

// told is an event in words: "2 wrong attempts on 3 November 2026, 14:02-14:05".
func told(e wire.Event) string {
	w := words[e.Kind]
	what := w.one
	if e.Count > 1 {
		what = terminal.Number(int(e.Count)) + " " + w.many
	}
	return what + " " + span(e.FirstMillis, e.LastMillis)
}

func at(millis uint64) time.Time { return time.UnixMilli(int64(millis)).Local() }

// span is when something happened, in the person's time zone, as one writes
// it in a letter.
func span(firstMillis, lastMillis uint64) string {
	const day, minute = "2 January 2006", "15:04"
	first, last := at(firstMillis), at(lastMillis)
	switch {
	case firstMillis == 0:
		return "(the vault kept no time then)"
	case first.Format(day+minute) == last.Format(day+minute):
		return "on " + first.Format(day+", "+minute)
	case first.Format(day) == last.Format(day):
		return "on " + first.Format(day+", "+minute) + last.Format("-"+minute)
	}
	return "from " + first.Format(day+", "+minute) + " to " + last.Format(day+", "+minute)
}

// wrongSince joins the wrong attempts that count now, and tells whether the
// history holds them: after the last success and in this record.
func wrongSince(st wire.StatusReport) (e wire.Event, found bool) {
	for _, h := range st.History {
		switch h.Kind {
		case wire.EventRecovered, wire.EventRegistered, wire.EventReplaced:
			e, found = wire.Event{}, false
		case wire.EventAttempts:
			if !found {
				e, found = h, true
				continue
			}
			e.Count, e.FirstMillis, e.LastMillis = e.Count+h.Count, min(e.FirstMillis, h.FirstMillis), max(e.LastMillis, h.LastMillis)
		}
	}
	return e, found && e.Count == st.Wrong
}

// wrongWords says how many attempts were wrong since the last right password,
// and when, where the history tells.
func wrongWords(st wire.StatusReport) string {
	if e, found := wrongSince(st); found {
		return told(e) + ", since the last right password"
	}
	return fmt.Sprintf("%s since the last right password", terminal.Count(int(st.Wrong), "wrong attempt"))
}

// wrongBefore says what a success forgave: the run of wrong attempts before it.
func wrongBefore(st wire.StatusReport) string {
	words := terminal.Count(int(st.WrongBefore), "wrong attempt")
	for i := len(st.History) - 1; i > 0; i-- {
		if st.History[i].Kind == wire.EventRecovered && st.History[i-1].Kind == wire.EventAttempts && st.History[i-1].Count == st.WrongBefore {
			return told(st.History[i-1])
		}
	}
	return words
}
