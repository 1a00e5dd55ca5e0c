package soak

import (
	"fmt"
	"testing"
)

func TestSize(t *testing.T) {
	t.Setenv(Variable, "")
	if n := Size(3, 1000); n != 3 || Long() {
		t.Errorf("everyday: %d", n)
	}
	t.Setenv(Variable, "1")
	if n := Size(3, 1000); n != 1000 || !Long() {
		t.Errorf("long: %d", n)
	}
}

// heard is a test that only listens.
type heard struct {
	testing.TB
	logs, errors []string
}

func (h *heard) Helper()                      {}
func (h *heard) Logf(format string, a ...any) { h.logs = append(h.logs, fmt.Sprintf(format, a...)) }
func (h *heard) Errorf(format string, a ...any) {
	h.errors = append(h.errors, fmt.Sprintf(format, a...))
}

func TestTriedTooLittle(t *testing.T) {
	for _, c := range []struct{ n, least, errors int }{{10, 10, 0}, {11, 10, 0}, {9, 10, 1}, {0, 0, 1}} {
		h := &heard{}
		Tried(h, "P7", "bad vectors", c.n, c.least)
		if len(h.logs) != 1 || len(h.errors) != c.errors {
			t.Errorf("%d of %d: %q %q", c.n, c.least, h.logs, h.errors)
		}
	}
}
