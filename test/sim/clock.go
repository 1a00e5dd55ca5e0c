package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// clock is virtual time, chance and the trace: whatever happens, happens in an
// event, one after another.
type clock struct {
	now    time.Duration // since the beginning
	events events
	made   uint64
	ran    uint64

	rand  *rand.Rand // of the scheduler and all who are not boxes
	trace hash.Hash64
	tell  io.Writer // of each line of the trace; nil: nobody
}

type event struct {
	at     time.Duration
	number uint64 // events of one time run in the order of their making
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}

func newClock(seed uint64) clock {
	return clock{rand: rand.New(rand.NewPCG(seed, 0x5eed)), trace: fnv.New64a()}
}

// after has something done later.
func (c *clock) after(d time.Duration, do func()) {
	c.made++
	heap.Push(&c.events, event{c.now + max(d, 0), c.made, do})
}

// runFor runs all events of the next while.
func (c *clock) runFor(d time.Duration) {
	until := c.now + d
	c.runUntil(until, func() bool { return false })
}

// runUntil runs events until done says so, or the time is over: then false.
func (c *clock) runUntil(end time.Duration, done func() bool) bool {
	for len(c.events) > 0 && c.events[0].at <= end {
		if done() {
			return true
		}
		e := heap.Pop(&c.events).(event)
		c.now = e.at
		c.ran++
		e.do()
	}
	if done() {
		return true
	}
	c.now = max(c.now, end)
	return false
}

// note writes a line of the trace.
func (c *clock) note(format string, a ...any) {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(c.now))
	c.trace.Write(at[:])
	fmt.Fprintf(c.trace, format, a...)
	if c.tell != nil {
		fmt.Fprintf(c.tell, "%12s  %s\n", c.now, fmt.Sprintf(format, a...))
	}
}

// chance is true with probability p.
func (c *clock) chance(p float64) bool { return p > 0 && c.rand.Float64() < p }

// between draws a time.
func (c *clock) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(c.rand.Int64N(int64(most-least)))
}

// source is a box's or an HSM's own generator.
func (c *clock) source() io.Reader {
	var seed [32]byte
	for i := range 4 {
		binary.BigEndian.PutUint64(seed[8*i:], c.rand.Uint64())
	}
	return rand.NewChaCha8(seed)
}
