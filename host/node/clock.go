package node

import (
	"time"

	"strongroom/protocol/wire"
)

const tick = wire.TickMillis * time.Millisecond

// clock counts the Raft clock's ticks by the monotonic clock.
type clock struct{ last time.Time }

// take gives the ticks since the last call, at most wire.TicksMax: a process
// that stood still has no time to make up. A burst of ticks would have it call
// an election before it has read what came meanwhile.
func (c *clock) take(now time.Time) uint32 {
	n := now.Sub(c.last) / tick
	if n > wire.TicksMax {
		c.last = now
		return wire.TicksMax
	}
	c.last = c.last.Add(n * tick)
	return uint32(n)
}

// calendar is the time that the box is told, which never goes back.
type calendar struct {
	told time.Time // what it was told last
	at   time.Time // when, by the monotonic clock
}

// tell gives the time: that of the clock, or, where the clock was set back since,
// one that goes half as fast until the clock has caught up. What the box does
// after a while goes on being done then, and a wait is never cut short.
func (c *calendar) tell(clock, at time.Time) time.Time {
	slow := c.told.Add(at.Sub(c.at) / 2)
	if c.told.IsZero() || clock.After(slow) {
		slow = clock
	}
	c.told, c.at = slow, at
	return slow
}
