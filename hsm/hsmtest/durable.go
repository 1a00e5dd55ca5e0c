package hsmtest

import (
	"bytes"
	"errors"
	"sync/atomic"
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
		must(older.ReadMemory())(t) // to know what is there does not make it the holder again
		if err := older.WriteMemory([]byte("a guess")); !errors.Is(err, hal.ErrTaken) {
			t.Fatalf("after reading what the other wrote: %v", err)
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

// NoWindow is a Faulty whose holders are never both answered.
type NoWindow interface{ NoWindow() }

// twoAtOnce lets one holder write while another one does, at each step of it:
// one of them has the memory afterwards, and what it wrote stands. The other's
// write may have been answered, in a provider's window, but its next is not.
func twoAtOnce(t *testing.T, m Faulty) {
	raced := 0
	for at := int64(1); ; at++ {
		h := m.New(t)
		if err := h.WriteMemory([]byte("before")); err != nil {
			t.Fatal(err)
		}
		rival := m.Rival(t, h)
		if got := must(rival.ReadMemory())(t); string(got) != "before" {
			t.Fatalf("the rival reads %q", got)
		}
		must(h.ReadMemory())(t) // its sessions are open again where the rival's opening took them
		var steps atomic.Int64
		var inside error
		m.Judge(t, h, func() Fault {
			if steps.Add(1) == at {
				inside = rival.WriteMemory([]byte("rival"))
			}
			return Fault{}
		})
		outside := h.WriteMemory([]byte("holder"))
		m.Judge(t, h, nil)
		if steps.Load() < at {
			break
		}
		raced++
		if _, none := m.(NoWindow); none && outside == nil && inside == nil {
			t.Fatalf("step %d: both writes were answered", at)
		}
		for who, err := range map[string]error{"the holder": outside, "the rival": inside} {
			if err != nil && !errors.Is(err, hal.ErrTaken) {
				t.Fatalf("step %d, %s: %v", at, who, err)
			}
		}
		first := map[string]error{"holder": outside, "rival": inside}
		next := map[string]error{"rival": rival.WriteMemory([]byte("rival"))}
		next["holder"] = h.WriteMemory([]byte("holder"))
		kept := ""
		for who, err := range next {
			switch {
			case err == nil && (kept != "" || first[who] != nil):
				t.Fatalf("step %d: first %v, then %v", at, first, next)
			case err == nil:
				kept = who
			case !errors.Is(err, hal.ErrTaken):
				t.Fatalf("step %d, %s again: %v", at, who, err)
			}
		}
		if err := rival.Close(); err != nil {
			t.Fatal(err)
		}
		if got := must(m.Reopen(t, h).ReadMemory())(t); kept == "" || string(got) != kept {
			t.Fatalf("step %d: %q was kept, read %q", at, kept, got)
		}
	}
	if raced < 2 {
		t.Fatalf("%d steps: nothing was tried", raced)
	}
}
