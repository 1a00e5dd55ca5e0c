package hsmtest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"strongroom/vault/hal"
)

// Counter is the oracle of the guess limit: an HSM whose evaluations are
// counted at its door, outside the system that is tested. It counts distinct
// pairs of wrapped key and point: the same pair again tells nobody anything new.
type Counter struct {
	hal.HAL
	journal io.Writer // nil for none

	mu   sync.Mutex
	seen map[[32]byte]bool // under mu
}

// NewCounter counts in memory.
func NewCounter(h hal.HAL) *Counter { return NewJournal(h, nil) }

// NewJournal also writes each evaluation, a line of hexadecimal digits, to w
// before it is made: with a file opened for appending, kill -9 hides none.
func NewJournal(h hal.HAL, w io.Writer) *Counter {
	return &Counter{HAL: h, journal: w, seen: map[[32]byte]bool{}}
}

// Evaluations is the number of distinct evaluations so far.
func (c *Counter) Evaluations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// MultiplyWrapped counts, then evaluates.
func (c *Counter) MultiplyWrapped(g hal.Group, wrapped, point []byte) ([]byte, error) {
	pair := sha256.Sum256(fmt.Appendf(nil, "%d %x %x", g, wrapped, point))
	c.mu.Lock()
	c.seen[pair] = true
	c.mu.Unlock()
	if c.journal != nil {
		if _, err := fmt.Fprintf(c.journal, "%x\n", pair); err != nil {
			return nil, err
		}
	}
	return c.HAL.MultiplyWrapped(g, wrapped, point)
}
