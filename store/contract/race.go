package contract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"strongroom/store"
)

// checkPutRace: many put one name at once, each its own bytes of its own
// length and through a handle of its own. In the end one of them stands there
// whole: no other's bytes, no other's length. Where the storage has
// conditional writes exactly one heard nil, it is that one's, and the others
// heard ErrExists.
func checkPutRace(t *Trial, s store.Store) {
	handles := make([]store.Store, raceWriters)
	for w := range handles {
		handles[w] = t.Open()
	}
	for round := range t.scale.Rounds {
		name := fmt.Sprintf("race/%d", round)
		errs := race(t, handles, name, func(w int) []byte { return raceData(round, w) })
		got, err := s.Get(t.Context(), name, 0, -1)
		must(t, err)
		var won, stands []int
		for w, err := range errs {
			if err != nil && !errors.Is(err, store.ErrExists) {
				t.Fatalf("%s: writer %d: %v", name, w, err)
			}
			if err == nil {
				won = append(won, w)
			}
			if bytes.Equal(got, raceData(round, w)) {
				stands = append(stands, w)
			}
		}
		switch {
		case len(stands) != 1 || len(won) == 0:
			t.Fatalf("%s: %d bytes of %v stand there, writers %v heard that they won: not one whole object of one who won", name, len(got), stands, won)
		case t.traits.Conditional && (len(won) > 1 || won[0] != stands[0]):
			t.Fatalf("%s: writers %v heard that they won, writer %d's object stands there: its writes are not conditional", name, won, stands[0])
		}
		wantObject(t, s, name, raceData(round, stands[0]))
	}
}

func raceData(round, writer int) []byte {
	return Bytes(uint64(round*100+writer), raceBytes-writer*1000)
}

// race has each handle put its data at the same moment.
func race(t *Trial, handles []store.Store, name string, data func(int) []byte) []error {
	errs := make([]error, len(handles))
	begin := make(chan struct{})
	var group sync.WaitGroup
	for w, s := range handles {
		mine := data(w)
		group.Go(func() {
			<-begin
			errs[w] = s.Put(t.Context(), name, mine)
		})
	}
	close(begin)
	group.Wait()
	return errs
}

// checkCallerKeepsItsBytes: a caller may reuse its buffer after Put, and change
// what Get gave.
func checkCallerKeepsItsBytes(t *Trial, s store.Store) {
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

// checkCancelledMidway: whatever a Put answers when it is cancelled on its way,
// the object is whole or absent, and whole if the answer was nil.
func checkCancelledMidway(t *Trial, s store.Store) {
	data := Bytes(5, t.scale.LargeBytes/2)
	for round := range t.scale.Rounds / 2 {
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

// checkMixed: workers, each with names of its own in shared folders, against a
// map of their own.
func checkMixed(t *Trial, s store.Store) {
	var group sync.WaitGroup
	for w := range mixedWorkers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			have := map[string][]byte{}
			for i := range t.scale.Operations {
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

func mixedStep(t *Trial, s store.Store, r *rand.Rand, have map[string][]byte, name string) error {
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
