package hsmtest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"strongroom/test/soak"
	"strongroom/vault/hal"
)

// Fault is what happens to one step of a provider: one command to a TPM, one
// call of a token's module, one look at a file or change of it.
type Fault struct {
	Kind FaultKind
	Wait time.Duration // before anything else
}

// FaultKind is how a step fails.
type FaultKind int

const (
	Pass FaultKind = iota
	Cut            // the step is not made, or made in part, and the line is dead
	Lost           // the step is made, its answer is lost, and the line is dead
	Full           // where the step needs room, there is none
)

// Faulty is a Maker that can put faults into the line to its HSM.
type Faulty interface {
	Maker
	// Judge says what happens to each step of h from now on; nil is nothing.
	// Steps of many goroutines are judged at once.
	Judge(t *testing.T, h hal.HAL, judge func() Fault)
	// Break takes away for real what h holds open in its HSM, as a killed
	// daemon or a token that lost power does. A provider without any of that
	// does nothing.
	Break(t *testing.T, h hal.HAL)
	// Mend gives h itself, which must recover without help; or, for a provider
	// that must not go on after a failed write, the HSM opened again.
	Mend(t *testing.T, h hal.HAL) hal.HAL
}

// RunFaults runs the contract's faults: gone, lost, slow, full, torn (P16).
func RunFaults(t *testing.T, m Faulty) {
	t.Run("lost at every step", func(t *testing.T) { lostAtEveryStep(t, m) })
	t.Run("broken", func(t *testing.T) { broken(t, m) })
	t.Run("torn memory", func(t *testing.T) { tornMemory(t, m) })
	t.Run("two holders at once", func(t *testing.T) { twoAtOnce(t, m) })
	t.Run("full", func(t *testing.T) { noRoom(t, m) })
	t.Run("slow", func(t *testing.T) { slow(t, m) })
	t.Run("any", func(t *testing.T) { anyFault(t, m) })
}

// script is a judge that counts steps.
type script struct {
	mu    sync.Mutex
	steps int
	hit   int
	rule  func(step int) Fault // under mu
}

func (s *script) judge() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	f := s.rule(s.steps)
	if f != (Fault{}) {
		s.hit++
	}
	return f
}

// under runs do while the rule judges, and gives how many steps there were and
// how many of them were hit.
func under(t *testing.T, m Faulty, h hal.HAL, rule func(step int) Fault, do func() error) (steps, hit int, err error) {
	t.Helper()
	s := &script{rule: rule}
	m.Judge(t, h, s.judge)
	err = do()
	m.Judge(t, h, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps, s.hit, err
}

func once(at int, kind FaultKind) func(int) Fault {
	return func(step int) Fault {
		if step == at {
			return Fault{Kind: kind}
		}
		return Fault{}
	}
}

// from is the end of the line: of the step at itself, and of all after it.
func from(at int, kind FaultKind) func(int) Fault {
	return func(step int) Fault {
		switch {
		case step == at:
			return Fault{Kind: kind}
		case step > at:
			return Fault{Kind: Cut}
		}
		return Fault{}
	}
}

// excused says whether a call may answer so when its line is bad.
func excused(err error) bool { return err == nil || errors.Is(err, hal.ErrGone) }

// well makes each call once, without any fault.
func (w *work) well(t *testing.T, after string) {
	t.Helper()
	for _, c := range w.calls() {
		if err := c.do(); err != nil {
			t.Fatalf("after %s, %s: %v", after, c.name, err)
		}
	}
}

// lostAtEveryStep ends the line at each single step of each call, before and
// after the step was made: the call succeeds, or says that the HSM is gone; and
// then all is as it was, or as the call would have made it.
func lostAtEveryStep(t *testing.T, m Faulty) {
	w := newWork(t, m.New(t))
	for i, c := range w.calls() {
		for first := range 2 { // everyday, every other step in one of the two ways
			tried := 0
			for at, turn := 1, first; ; at, turn = at+soak.Size(2, 1), turn+1 {
				kind := Cut + FaultKind(turn%2)
				if w.names > namesMax-2 {
					w = newWork(t, m.New(t))
				}
				c = w.calls()[i]
				_, hit, err := under(t, m, w.HAL, once(at, kind), c.do)
				if !excused(err) {
					t.Fatalf("%s, fault %d at step %d: %v", c.name, kind, at, err)
				}
				w.HAL = m.Mend(t, w.HAL)
				if err := errors.Join(w.readMemory(), w.listEpochs(), c.do()); err != nil {
					t.Fatalf("%s, after fault %d at step %d: %v", c.name, kind, at, err)
				}
				if tried += hit; hit == 0 {
					break
				}
			}
			if c.durable && tried < 1 {
				t.Fatalf("%s was hit %d times: nothing was tried", c.name, tried)
			}
			if !soak.Long() {
				break
			}
		}
	}
	w.well(t, "all faults")
}

func broken(t *testing.T, m Faulty) {
	w := newWork(t, m.New(t))
	for range 3 { // there may be several ways to break it
		for _, c := range w.calls() {
			m.Break(t, w.HAL)
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

// tornMemory stops the machine at each step of a whole write, into either
// slot: the old bytes are read, or the new ones.
func tornMemory(t *testing.T, m Faulty) {
	w := newWork(t, m.New(t))
	olds, news := 0, 0
	for _, kind := range []FaultKind{Cut, Lost, Cut, Lost} { // an odd number of steps changes the slot
		for at := 1; ; at++ {
			old := w.memory[0]
			_, hit, err := under(t, m, w.HAL, from(at, kind), func() error { return w.writeMemory(hal.MemoryBytes) })
			if !excused(err) {
				t.Fatalf("fault %d from step %d on: %v", kind, at, err)
			}
			w.HAL = m.Reopen(t, w.HAL)
			if err := w.readMemory(); err != nil {
				t.Fatalf("after fault %d from step %d on: %v", kind, at, err)
			}
			if hit == 0 {
				break
			}
			if w.memory[0] == old {
				olds++
			} else {
				news++
			}
			if at%2 == 0 { // the next one goes to the other slot
				if err := w.writeMemory(57); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if olds < 4 || news < 2 {
		t.Fatalf("%d times old, %d times new: nothing was torn", olds, news)
	}
}

// noRoom: there is no room for anything more. What there is goes on.
func noRoom(t *testing.T, m Faulty) {
	w := newWork(t, m.New(t))
	always := func(int) Fault { return Fault{Kind: Full} }
	for _, c := range w.calls() {
		if c.name == "MakeOPRFKey" || c.name == "Seal" {
			continue // needs room in some HSMs, and keeps nothing
		}
		_, _, err := under(t, m, w.HAL, always, c.do)
		if c.durable && !errors.Is(err, hal.ErrFull) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.durable && err != nil {
			t.Errorf("%s, which needs no room: %v", c.name, err)
		}
	}
	w.well(t, "room again") // without being mended: a full HSM is not a lost one
}

// slow: one step takes 5 s. Other calls wait or pass, none is lost, nothing is
// done twice, and Close ends.
func slow(t *testing.T, m Faulty) {
	wait := 20 * time.Millisecond
	if soak.Long() {
		wait = 5 * time.Second
	}
	w := newWork(t, m.New(t))
	for _, c := range w.calls() {
		if !c.durable && c.name != "MultiplyWrapped" {
			continue
		}
		if err := c.do(); err != nil { // its sessions are open, its keys looked up
			t.Fatal(err)
		}
		quick, _, err := under(t, m, w.HAL, func(int) Fault { return Fault{} }, c.do)
		if err != nil {
			t.Fatal(err)
		}
		if quick == 0 {
			continue // it asks nothing
		}
		late, hit, err := under(t, m, w.HAL, slowStep(quick/2+1, wait), c.do)
		if err != nil || hit != 1 || late != quick {
			t.Errorf("%s: %d steps, slow %d, %d of them slowed: %v", c.name, quick, late, hit, err)
		}
	}
	slowBesideOthers(t, m, w, wait)
	slowAtClose(t, m, w, wait)
}

func slowStep(at int, wait time.Duration) func(int) Fault {
	return func(step int) Fault {
		if step == at {
			return Fault{Wait: wait}
		}
		return Fault{}
	}
}

func slowBesideOthers(t *testing.T, m Faulty, w *work, wait time.Duration) {
	_, hit, err := under(t, m, w.HAL, slowStep(1, wait), func() error {
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				got, err := w.MultiplyWrapped(hal.P256, w.wrapped, w.point)
				results <- same(got, err, w.product)
			}()
		}
		err := w.writeMemory(16)
		for range cap(results) {
			err = errors.Join(err, <-results)
		}
		return errors.Join(err, w.readMemory())
	})
	if err != nil || hit != 1 {
		t.Errorf("calls beside a slow one: %v (%d steps were slow)", err, hit)
	}
}

// slowAtClose closes while calls wait: each ends, done or gone.
func slowAtClose(t *testing.T, m Faulty, w *work, wait time.Duration) {
	asked := make(chan struct{}, 1)
	rule := func(step int) Fault {
		if step > 1 {
			return Fault{}
		}
		asked <- struct{}{}
		return Fault{Wait: wait}
	}
	_, _, err := under(t, m, w.HAL, rule, func() error {
		results := make(chan error, 3)
		next := "written while it was closed"
		w.memory = append(w.memory, next)
		for range cap(results) {
			go func() { results <- w.WriteMemory([]byte(next)) }()
		}
		<-asked
		err := w.Close()
		for range cap(results) {
			if err := <-results; !excused(err) {
				t.Errorf("a call that was open: %v", err)
			}
		}
		return err
	})
	if err != nil {
		t.Errorf("close: %v", err)
	}
	w.HAL = m.Reopen(t, w.HAL)
	w.well(t, "closing a slow one")
}

// anyFault hits calls at random: 200 faults in the long size.
func anyFault(t *testing.T, m Faulty) {
	least := soak.Size(24, 200)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 16))
	w := newWork(t, m.New(t))
	faults := 0
	// Of most calls a provider takes no step at all: about one try in fifteen is hit.
	for tries := 0; faults < least && tries < 200*least; tries++ {
		if w.names > namesMax-2 {
			w = newWork(t, m.New(t))
		}
		calls := w.calls()
		c := calls[random.IntN(len(calls))]
		at, kind := 1+random.IntN(6), Cut+FaultKind(random.IntN(2))
		rule := once(at, kind)
		switch random.IntN(4) {
		case 0:
			rule = from(at, kind)
		case 1:
			rule = slowStep(at, time.Millisecond)
		case 2:
			rule = func(step int) Fault { return once(at+step%3, kind)(step) } // perhaps two
		}
		_, hit, err := under(t, m, w.HAL, rule, c.do)
		if !excused(err) {
			t.Fatalf("seed %d, fault %d: %s, kind %d at step %d: %v", seed, faults, c.name, kind, at, err)
		}
		if hit == 0 {
			continue
		}
		faults++
		w.HAL = m.Mend(t, w.HAL)
		if err := errors.Join(w.readMemory(), w.listEpochs(), c.do()); err != nil {
			t.Fatalf("seed %d, after fault %d, %s, kind %d at step %d: %v", seed, faults, c.name, kind, at, err)
		}
	}
	w.well(t, "all faults")
	soak.Tried(t, "P16", "faults", faults, least)
}
