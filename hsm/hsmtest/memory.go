package hsmtest

import (
	"bytes"
	"errors"
	"testing"

	"strongroom/vault/hal"
)

func durableMemory(t *testing.T, m Maker) {
	h := m.New(t)
	if got := must(h.ReadMemory())(t); got != nil {
		t.Fatalf("a new memory holds %d bytes", len(got))
	}
	for _, n := range []int{1, hal.MemoryBytes, 7, 0, 57} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		if err := h.WriteMemory(want); err != nil {
			t.Fatal(err)
		}
		if got := must(h.ReadMemory())(t); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: read %d", n, len(got))
		}
		h = m.Reopen(t, h)
		if got := must(h.ReadMemory())(t); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: read %d after reopening", n, len(got))
		}
	}
	if err := h.WriteMemory(make([]byte, hal.MemoryBytes+1)); err == nil {
		t.Fatal("took more than its size")
	}
	if got := must(h.ReadMemory())(t); len(got) != 57 {
		t.Fatal("a refused write changed it")
	}
}

// taken: two holders of one memory. The later one to write has it, the other
// finds out before it writes anything, and for ever.
func taken(t *testing.T, m Maker) {
	write := func(h hal.HAL, value string) {
		t.Helper()
		if err := h.WriteMemory([]byte(value)); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
	}
	for _, writes := range []int{1, 2, 3, 4} { // of the later one: each slot last, both slots over
		older := m.New(t)
		write(older, "older")
		later := m.Rival(t, older)
		if got := must(later.ReadMemory())(t); string(got) != "older" {
			t.Fatalf("the later one reads %q", got)
		}
		write(older, "older still") // before the later one wrote, it is the holder
		if err := later.WriteMemory([]byte("too late")); !errors.Is(err, hal.ErrTaken) {
			t.Fatalf("the later one did not read what is there: %v", err)
		}
		later = m.Rival(t, older)
		for range writes {
			write(later, "later")
		}
		for range 3 {
			if err := older.WriteMemory([]byte("a guess")); !errors.Is(err, hal.ErrTaken) {
				t.Fatalf("after %d writes of another: %v", writes, err)
			}
		}
		if got := must(later.ReadMemory())(t); string(got) != "later" {
			t.Fatalf("a refused write left %q", got)
		}
		write(later, "later still")
		if err := later.Close(); err != nil {
			t.Fatal(err)
		}
		if err := older.WriteMemory([]byte("a guess")); !errors.Is(err, hal.ErrTaken) {
			t.Fatalf("alone again: %v", err)
		}
		older = m.Reopen(t, older)
		if got := must(older.ReadMemory())(t); string(got) != "later still" {
			t.Fatalf("opened again: %q", got)
		}
		write(older, "older again")
	}
}
