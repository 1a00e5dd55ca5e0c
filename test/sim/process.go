package sim

import (
	"iter"
	"time"
)

// process is somebody who does one thing after another: a client or a thief.
// It is a coroutine: it runs only inside an event, and only one does at a time.
type process struct {
	*Sim
	yield func(struct{}) bool
	next  func() (struct{}, bool)
	ended bool
}

type stopped struct{}

// start runs a process from now on.
func (s *Sim) start(run func(p *process)) *process {
	p := &process{Sim: s}
	next, stop := iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			p.ended = true
			if r := recover(); r != nil && r != any(stopped{}) {
				panic(r)
			}
		}()
		p.yield = yield
		run(p)
	})
	p.next = next
	s.stops = append(s.stops, stop)
	s.after(0, p.wake)
	return p
}

func (p *process) wake() { p.next() }

// pause waits for wake.
func (p *process) pause() {
	if !p.yield(struct{}{}) {
		panic(stopped{})
	}
}

// sleep waits.
func (p *process) sleep(d time.Duration) {
	p.after(d, p.wake)
	p.pause()
}
