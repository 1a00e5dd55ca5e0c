package contract

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"strongroom/store"
)

// failuresMax is how many failures of one check are kept.
const failuresMax = 20

// Open gives a handle on one empty storage. Each call of it gives another
// handle on the same storage, as another device would have one.
type Open func() (store.Store, error)

// Trial is one run of one check on one storage.
type Trial struct {
	ctx    context.Context
	scale  Scale
	open   Open
	traits store.Traits

	mu       sync.Mutex
	failures []string // under mu
}

// Run runs the check and gives what failed, nothing when it passed. Traits
// that the storage claims are held against it.
func (c Check) Run(ctx context.Context, scale Scale, open Open) []string {
	t := &Trial{ctx: ctx, scale: scale, open: open}
	ended := make(chan struct{})
	go func() { // of its own, so that Fatal can end it
		defer close(ended)
		s := t.Open()
		var err error
		t.traits, err = store.TraitsOf(ctx, s)
		must(t, err)
		c.run(t, s)
	}()
	<-ended
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures
}

// Open opens the storage once more.
func (t *Trial) Open() store.Store {
	s, err := t.open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Context is the run's.
func (t *Trial) Context() context.Context { return t.ctx }

// Error notes a failure and goes on.
func (t *Trial) Error(a ...any) { t.note(fmt.Sprint(a...)) }

// Errorf notes a failure and goes on.
func (t *Trial) Errorf(format string, a ...any) { t.note(fmt.Sprintf(format, a...)) }

// Fatal notes a failure and ends the check. Only the check's own goroutine may call it.
func (t *Trial) Fatal(a ...any) { t.Error(a...); runtime.Goexit() }

// Fatalf is Fatal.
func (t *Trial) Fatalf(format string, a ...any) { t.Errorf(format, a...); runtime.Goexit() }

func (t *Trial) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.failures) < failuresMax {
		t.failures = append(t.failures, text)
	}
}
