package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"strongroom/store"
)

// testPutRace: many put one name at once, each its own bytes of its own
// length. One wins, the others hear ErrExists, and the object is the winner's
// whole: no other's bytes, no other's length.
func testPutRace(t *testing.T, s store.Store) {
	for round := range raceRounds {
		name := fmt.Sprintf("race/%d", round)
		errs := make([]error, raceWriters)
		begin := make(chan struct{})
		var group sync.WaitGroup
		for w := range raceWriters {
			data := Bytes(uint64(round*100+w), raceBytes-w*1000)
			group.Go(func() {
				<-begin
				errs[w] = s.Put(t.Context(), name, data)
			})
		}
		close(begin)
		group.Wait()
		winner := -1
		for w, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("%s: writers %d and %d both won", name, winner, w)
			case err == nil:
				winner = w
			case !errors.Is(err, store.ErrExists):
				t.Fatalf("%s: writer %d: %v", name, w, err)
			}
		}
		if winner < 0 {
			t.Fatalf("%s: nobody won", name)
		}
		wantObject(t, s, name, Bytes(uint64(round*100+winner), raceBytes-winner*1000))
	}
}

// testCallerKeepsItsBytes: a caller may reuse its buffer after Put, and change
// what Get gave.
func testCallerKeepsItsBytes(t *testing.T, s store.Store) {
	data := Bytes(4, 5000)
	must(t, s.Put(t.Context(), "mine", data))
	if !bytes.Equal(data, Bytes(4, 5000)) {
		t.Error("Put changed the caller's bytes")
	}
	clear(data)
	got, err := s.Get(t.Context(), "mine", 0, -1)
	must(t, err)
	clear(got)
	wantObject(t, s, "mine", Bytes(4, 5000))
}

// testCancelledMidway: whatever a Put answers when it is cancelled on its way,
// the object is whole or absent, and whole if the answer was nil.
func testCancelledMidway(t *testing.T, s store.Store) {
	data := Bytes(5, largeBytes/2)
	for round := range raceRounds / 2 {
		name := fmt.Sprintf("midway/%d", round)
		ctx, cancel := context.WithCancel(t.Context())
		begun := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			<-begun
			spin(round)
			cancel()
		})
		close(begun)
		err := s.Put(ctx, name, data)
		group.Wait()
		cancel()
		got, getErr := s.Get(t.Context(), name, 0, -1)
		switch {
		case errors.Is(getErr, store.ErrNotFound) && err != nil: // absent, and said so
		case getErr == nil && bytes.Equal(got, data): // whole
		default:
			t.Errorf("%s: Put gave %v; then Get gave %d bytes, %v", name, err, len(got), getErr)
		}
	}
}

// spin lets some time pass, more in later rounds, without a clock.
func spin(round int) {
	sum := 0
	for i := range round * 1_000_000 {
		sum += i
	}
	_ = sum
}

// testMixed: workers, each with names of its own in shared folders, against a
// map of their own.
func testMixed(t *testing.T, s store.Store) {
	var group sync.WaitGroup
	for w := range mixedWorkers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			have := map[string][]byte{}
			for i := range mixedOperation {
				name := fmt.Sprintf("mixed/%d/w%d", r.IntN(6), w)
				if err := mixedStep(t, s, r, have, name); err != nil {
					t.Errorf("worker %d, operation %d: %v", w, i, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func mixedStep(t *testing.T, s store.Store, r *rand.Rand, have map[string][]byte, name string) error {
	data, found := have[name]
	switch r.IntN(3) {
	case 0:
		fresh := Bytes(r.Uint64(), r.IntN(50_000))
		err := s.Put(t.Context(), name, fresh)
		if found != errors.Is(err, store.ErrExists) || !found && err != nil {
			return fmt.Errorf("Put %s, there before: %v: %v", name, found, err)
		}
		if !found {
			have[name] = fresh
		}
	case 1:
		got, err := s.Get(t.Context(), name, 0, -1)
		if found == errors.Is(err, store.ErrNotFound) || found && !bytes.Equal(got, data) {
			return fmt.Errorf("Get %s, there: %v: %d bytes, %v", name, found, len(got), err)
		}
	case 2:
		delete(have, name)
		return s.Delete(t.Context(), name)
	}
	return nil
}
