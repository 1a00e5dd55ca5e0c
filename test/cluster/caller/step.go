//go:build linux

package caller

import (
	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
)

type exchange = channel.Exchange

// Step does one thing with the account, as the dice say. Where it comes to
// nothing, because no box answers or another caller was quicker, so be it:
// the history has what was asked.
func (c *Caller) Step(a *Account) {
	at, err := c.Status(a)
	if err != nil {
		return
	}
	live := at.State == wire.StateLive || at.State == wire.StateExhausted
	switch roll := c.Dice.IntN(100); {
	case !live:
		_ = c.Register(a, nil)
	case roll < 40:
		_ = c.Login(a, at)
	case roll < 65:
		_ = c.Wrong(a, at)
	case roll < 77:
		c.steal(a, at)
	case roll < 84:
		c.repeat(a)
	case roll < 91:
		c.showAgain(a)
	case roll < 95:
		_ = c.Register(a, &at.Generation)
	case roll < 97:
		_ = c.Delete(a, at.Generation)
	}
}

// steal tries another guess under an attempt that was charged already, as
// whoever put an old disk or an old box back would.
func (c *Caller) steal(a *Account, at *wire.StatusReport) {
	slot := at.Slot - min(at.Slot, uint64(c.Dice.IntN(3)))
	if slot > 0 {
		_ = c.guess(a, at.Generation, slot, a.password())
	}
}

// repeat sends an old guess again, as a client whose answer was lost would, or
// somebody who recorded it.
func (c *Caller) repeat(a *Account) {
	a.mu.Lock()
	if len(a.starts) == 0 {
		a.mu.Unlock()
		return
	}
	start := a.starts[c.Dice.IntN(len(a.starts))]
	a.mu.Unlock()
	_, _, _ = c.first(a, asked(start), wire.First{RecoverStart: &start})
}

// showAgain sends an old proof, held back or shown before.
func (c *Caller) showAgain(a *Account) {
	a.mu.Lock()
	if len(a.proofs) == 0 {
		a.mu.Unlock()
		return
	}
	p := a.proofs[c.Dice.IntN(len(a.proofs))]
	a.mu.Unlock()
	_, _ = c.show(a, &p)
}
