package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/store"
	"strongroom/store/fault"
	"strongroom/store/mem"
	"strongroom/store/storetest"
)

// Without rules the wrapper is a store like any other.
func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return fault.New(mem.New(), 1) })
}

func TestEffects(t *testing.T) {
	for _, c := range []struct {
		name   string
		effect fault.Effect
		want   error
		landed bool
	}{
		{"refused", fault.Refused, fault.ErrFault, false},
		{"lost", fault.Lost, store.ErrUnknown, false},
		{"landed", fault.Landed, store.ErrUnknown, true},
		{"dead", fault.Dead, fault.ErrFault, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := mem.New()
			s := fault.New(inner, 1, fault.Rule{On: fault.Put, Nth: 2, Effect: c.effect})
			if err := s.Put(t.Context(), "a", nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(t.Context(), "b", nil); !errors.Is(err, c.want) {
				t.Errorf("second Put: %v, want %v", err, c.want)
			}
			_, err := inner.Size(t.Context(), "b")
			if landed := err == nil; landed != c.landed {
				t.Errorf("landed: %v, want %v", landed, c.landed)
			}
			_, err = s.Size(t.Context(), "a")
			if dead := errors.Is(err, fault.ErrFault); dead != (c.effect == fault.Dead) {
				t.Errorf("read afterwards: %v", err)
			}
			if s.Writes() != 2 || s.Faults() == 0 {
				t.Errorf("%d writes, %d faults", s.Writes(), s.Faults())
			}
		})
	}
}

// An answer that is no secret is not hidden: a landed fault on what the store
// refuses says the refusal.
func TestLandedSaysExists(t *testing.T) {
	s := fault.New(mem.New(), 1, fault.Rule{On: fault.Put, Nth: 2, Effect: fault.Landed})
	first, second := s.Put(t.Context(), "a", nil), s.Put(t.Context(), "a", nil)
	if first != nil || !errors.Is(second, store.ErrExists) {
		t.Errorf("%v, then %v; want nil, then ErrExists", first, second)
	}
}

func TestPatternAndOperation(t *testing.T) {
	s := fault.New(mem.New(), 1, fault.Rule{On: fault.Put, Match: "head/*"}, fault.Rule{On: fault.List, Match: "gone*"})
	if err := s.Put(t.Context(), "packs/1", nil); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "head/1", nil); !errors.Is(err, fault.ErrFault) {
		t.Errorf("head/1: %v", err)
	}
	if err := s.Delete(t.Context(), "head/1"); err != nil {
		t.Error(err)
	}
	for _, err := range s.List(t.Context(), "gone") {
		if !errors.Is(err, fault.ErrFault) {
			t.Errorf("List: %v", err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a malformed pattern was taken")
		}
	}()
	fault.New(mem.New(), 1, fault.Rule{Match: "["})
}

// The same seed gives the same faults, another seed others.
func TestSeed(t *testing.T) {
	run := func(seed uint64) (hits []int) {
		s := fault.New(mem.New(), seed, fault.Rule{On: fault.Put, Chance: 0.3})
		for i := range 200 {
			if s.Put(t.Context(), fmt.Sprint("o", i), nil) != nil {
				hits = append(hits, i)
			}
		}
		return hits
	}
	one, again, other := run(1), run(1), run(2)
	if !slices.Equal(one, again) || slices.Equal(one, other) {
		t.Errorf("seed 1: %v, again %v, seed 2: %v", one, again, other)
	}
	if len(one) < 30 || len(one) > 90 {
		t.Errorf("%d of 200 hit with a chance of 0.3", len(one))
	}
}

func TestEvery(t *testing.T) {
	s := fault.New(mem.New(), 1, fault.Rule{On: fault.Write, Every: 3, Effect: fault.Lost})
	for i := 1; i <= 9; i++ {
		err := s.Put(t.Context(), fmt.Sprint("o", i), nil)
		if hit := errors.Is(err, store.ErrUnknown); hit != (i%3 == 0) {
			t.Errorf("write %d: %v", i, err)
		}
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(mem.New(), 1, fault.Rule{On: fault.Put, Effect: fault.Slow, Delay: time.Minute})
		begun := time.Now()
		if err := s.Put(t.Context(), "slow", nil); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Put(ctx, "late", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled while waiting: %v", err)
		}
	})
}
