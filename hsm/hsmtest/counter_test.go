package hsmtest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"strongroom/vault/hal"
)

// witness looks at the journal from inside the evaluation.
type witness struct {
	hal.HAL
	journal *bytes.Buffer
	lines   int // in the journal when the last evaluation began
}

func (w *witness) MultiplyWrapped(hal.Group, []byte, []byte) ([]byte, error) {
	w.lines = strings.Count(w.journal.String(), "\n")
	return nil, nil
}

func TestCounter(t *testing.T) {
	var journal bytes.Buffer
	w := &witness{journal: &journal}
	c := NewJournal(w, &journal)
	for i, call := range []struct {
		g              hal.Group
		wrapped, point string
		want           int
	}{
		{hal.P256, "a", "b", 1}, {hal.P256, "a", "b", 1}, {hal.P256, "a", "c", 2}, {hal.P256, "b", "b", 3},
		{hal.Ristretto255, "a", "b", 4}, {hal.P256, "ab", "", 5}, {hal.P256, "", "ab", 6},
	} {
		if _, err := c.MultiplyWrapped(call.g, []byte(call.wrapped), []byte(call.point)); err != nil {
			t.Fatal(err)
		}
		if c.Evaluations() != call.want {
			t.Errorf("call %d: counted %d, want %d", i+1, c.Evaluations(), call.want)
		}
		if w.lines != i+1 { // kill -9 within the evaluation must not hide it
			t.Errorf("call %d: %d lines when the evaluation began", i+1, w.lines)
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

// What can not be written down is not evaluated.
func TestJournalFails(t *testing.T) {
	w := &witness{journal: new(bytes.Buffer), lines: -1}
	if _, err := NewJournal(w, full{}).MultiplyWrapped(hal.P256, nil, nil); !errors.Is(err, errFull) || w.lines != -1 {
		t.Fatal("evaluated without a line in the journal", err)
	}
}
