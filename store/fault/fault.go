// Package fault wraps a store and breaks it on purpose, so that a client can
// be shown to survive every failure of every write, landed and not landed.
//
// What happens depends only on the seed, the rules and the order of the
// calls: a run with one goroutine repeats itself exactly.
package fault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"path"
	"sync"
	"time"

	"strongroom/store"
)

// ErrFault is a definite failure: nothing was done.
var ErrFault = errors.New("fault: the storage failed on purpose")

// Operation is a set of operations.
type Operation uint8

const (
	Put Operation = 1 << iota
	Get
	List
	Delete
	Size
	// Write is what changes something.
	Write = Put | Delete
	// Read is what changes nothing.
	Read = Get | List | Size
)

// Effect is what a fault does.
type Effect uint8

const (
	// Refused: not done, and said so with ErrFault.
	Refused Effect = iota
	// Lost: not done, but the caller hears store.ErrUnknown.
	Lost
	// Landed: done, but the caller hears store.ErrUnknown.
	Landed
	// Slow: done and answered after Delay.
	Slow
	// Dead: not done, and every later call is refused, as if the program or
	// the line had died here.
	Dead
)

// Rule says which calls a fault hits. A rule with neither Nth, Every nor
// Chance hits every call that matches.
type Rule struct {
	On      Operation
	Match   string        // pattern of path.Match on the name or prefix; "" is any
	Nth     int           // only the nth matching call, from 1
	Every   int           // every so many matching calls
	Chance  float64       // 0 to 1, drawn from the seed
	Effect  Effect        //
	Delay   time.Duration // before anything is done
	matched int
}

// Store is a store with faults. Use New.
type Store struct {
	inner store.Store

	mu     sync.Mutex
	random *rand.Rand // under mu
	rules  []Rule     // under mu
	dead   bool       // under mu
	writes int        // under mu
	faults int        // under mu
}

// New breaks inner by the rules; the first rule that hits a call decides. A
// malformed pattern panics: it would never match, and the test never fail.
func New(inner store.Store, seed uint64, rules ...Rule) *Store {
	for _, rule := range rules {
		if _, err := path.Match(rule.Match, ""); err != nil {
			panic(fmt.Sprintf("fault: pattern %q: %v", rule.Match, err))
		}
	}
	return &Store{inner: inner, random: rand.New(rand.NewPCG(seed, seed)), rules: append([]Rule(nil), rules...)}
}

// Writes is how many Puts and Deletes were asked for, Faults how many calls
// were hit: a test that hit nothing proves nothing.
func (s *Store) Writes() int { s.mu.Lock(); defer s.mu.Unlock(); return s.writes }

// Faults is how many calls were hit.
func (s *Store) Faults() int { s.mu.Lock(); defer s.mu.Unlock(); return s.faults }

// Put may fail by a rule.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	return s.write(ctx, Put, name, func() error { return s.inner.Put(ctx, name, data) })
}

// Delete may fail by a rule.
func (s *Store) Delete(ctx context.Context, name string) error {
	return s.write(ctx, Delete, name, func() error { return s.inner.Delete(ctx, name) })
}

// Get may fail by a rule.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := s.read(ctx, Get, name); err != nil {
		return nil, err
	}
	return s.inner.Get(ctx, name, offset, length)
}

// Size may fail by a rule.
func (s *Store) Size(ctx context.Context, name string) (int64, error) {
	if err := s.read(ctx, Size, name); err != nil {
		return 0, err
	}
	return s.inner.Size(ctx, name)
}

// List may fail by a rule, before its first object.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		if err := s.read(ctx, List, prefix); err != nil {
			yield(store.Info{}, err)
			return
		}
		s.inner.List(ctx, prefix)(yield)
	}
}

// Unwrap is the store inside.
func (s *Store) Unwrap() store.Store { return s.inner }

// Location is that of the store inside.
func (s *Store) Location() string { return s.inner.Location() }

func (s *Store) write(ctx context.Context, op Operation, name string, do func() error) error {
	rule, hit := s.decide(op, name)
	if !hit {
		return do()
	}
	if err := wait(ctx, rule.Delay); err != nil {
		return err
	}
	switch rule.Effect {
	case Lost:
		return fmt.Errorf("%w: %s (fault: lost)", store.ErrUnknown, name)
	case Landed:
		// What is refused anyway (ErrExists, ErrName) did not land: said as is.
		if err := do(); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s (fault: landed)", store.ErrUnknown, name)
	case Slow:
		return do()
	}
	return fmt.Errorf("%w: %s", ErrFault, name)
}

func (s *Store) read(ctx context.Context, op Operation, name string) error {
	rule, hit := s.decide(op, name)
	if !hit {
		return nil
	}
	if err := wait(ctx, rule.Delay); err != nil {
		return err
	}
	if rule.Effect == Slow {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFault, name)
}

func (s *Store) decide(op Operation, name string) (Rule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op&Write != 0 {
		s.writes++
	}
	if s.dead {
		s.faults++
		return Rule{Effect: Refused}, true
	}
	for i := range s.rules {
		if rule := &s.rules[i]; rule.hits(op, name, s.random) {
			s.faults++
			s.dead = rule.Effect == Dead
			return *rule, true
		}
	}
	return Rule{}, false
}

func (r *Rule) hits(op Operation, name string, random *rand.Rand) bool {
	if r.On&op == 0 {
		return false
	}
	if r.Match != "" {
		if ok, _ := path.Match(r.Match, name); !ok { // New has checked the pattern
			return false
		}
	}
	r.matched++
	switch {
	case r.Nth > 0:
		return r.matched == r.Nth
	case r.Every > 0:
		return r.matched%r.Every == 0
	case r.Chance > 0:
		return random.Float64() < r.Chance
	}
	return true
}

func wait(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
