package pack

import (
	"context"
	"errors"
	"testing"

	"strongroom/backup/seal"
	"strongroom/store"
	"strongroom/store/mem"
)

const (
	switchesMax    = 4    // between the two, in one schedule
	schedulesLeast = 2000 // fewer: the schedules were not made
)

// Two devices, each with a key of its own, make a repository in one place of
// a storage without conditional writes, in every order of their steps with a
// few switches. At most one believes that it did, and its key opens it.
func TestTwoCreates(t *testing.T) {
	tried, won := 0, [3]int{}
	for schedule := range schedules(switchesMax) {
		tried++
		st := mem.New()
		keys := [2][32]byte{{1}, {2}}
		var errs [2]error
		two := &turns{schedule: schedule, waits: [2]chan bool{make(chan bool), make(chan bool)}, stops: make(chan int)}
		for i := range 2 {
			go func() {
				two.step(i, func() {})
				_, errs[i] = putHeader(context.Background(), &stepping{Store: st, two: two, who: i}, &keys[i])
				two.ended(i)
			}()
		}
		two.run()
		winners := 0
		for i, err := range errs {
			switch {
			case err == nil:
				winners++
				if _, err := readHeaders(t.Context(), st, func(h *seal.Header) error { return h.Verify(&keys[i]) }); err != nil {
					t.Fatalf("schedule %v: %d won, and its key does not open: %v", schedule, i, err)
				}
			case !errors.Is(err, ErrRepository):
				t.Fatalf("schedule %v: %d: %v", schedule, i, err)
			default:
				if _, err := readHeaders(t.Context(), st, func(h *seal.Header) error { return h.Verify(&keys[i]) }); err == nil {
					t.Fatalf("schedule %v: %d lost, and its key opens what is there", schedule, i)
				}
			}
		}
		if winners > 1 {
			t.Fatalf("schedule %v: both believe that they made it", schedule)
		}
		won[winners]++
	}
	if tried < schedulesLeast || won[1] == 0 {
		t.Fatalf("%d schedules tried, %v by number of winners: too little happened", tried, won)
	}
	t.Logf("%d schedules; nobody won in %d, one in %d", tried, won[0], won[1])
}

// schedules gives lists of how many steps one does before the other goes on.
func schedules(switches int) func(yield func([]int) bool) {
	const stepsMax = 9
	return func(yield func([]int) bool) {
		var extend func([]int) bool
		extend = func(s []int) bool {
			if len(s) == switches {
				return yield(s)
			}
			for n := 1; n <= stepsMax; n++ {
				if !extend(append(s[:len(s):len(s)], n)) {
					return false
				}
			}
			return true
		}
		extend(nil)
	}
}

// turns lets one of two do a step at a time.
type turns struct {
	schedule []int
	waits    [2]chan bool
	stops    chan int // who stopped at its next step; -1-who when it ended
}

// step waits for its turn, and does.
func (u *turns) step(who int, do func()) {
	u.stops <- who
	<-u.waits[who]
	do()
}

func (u *turns) ended(who int) { u.stops <- -1 - who }

func (u *turns) run() {
	alive := [2]bool{true, true}
	<-u.stops
	<-u.stops
	who, left := 0, u.schedule
	for alive[0] || alive[1] {
		steps := 1 << 20
		if len(left) > 0 {
			steps, left = left[0], left[1:]
		}
		for ; steps > 0 && alive[who]; steps-- {
			u.waits[who] <- true
			if <-u.stops < 0 {
				alive[who] = false
			}
		}
		who = 1 - who
	}
}

// stepping is a storage that looks and then writes, each a step.
type stepping struct {
	store.Store
	two *turns
	who int
}

func (s *stepping) Put(ctx context.Context, name string, data []byte) error {
	if _, err := s.Size(ctx, name); err == nil {
		return store.ErrExists
	}
	var err error
	s.two.step(s.who, func() {
		err = errors.Join(s.Store.Delete(ctx, name), s.Store.Put(ctx, name, data))
	})
	return err
}

func (s *stepping) Get(ctx context.Context, name string, offset, length int64) (b []byte, err error) {
	s.two.step(s.who, func() { b, err = s.Store.Get(ctx, name, offset, length) })
	return b, err
}

func (s *stepping) Size(ctx context.Context, name string) (n int64, err error) {
	s.two.step(s.who, func() { n, err = s.Store.Size(ctx, name) })
	return n, err
}

func (s *stepping) Delete(ctx context.Context, name string) (err error) {
	s.two.step(s.who, func() { err = s.Store.Delete(ctx, name) })
	return err
}
