package sim

import (
	"fmt"
	"time"
)

// Bounds of what must come back after the last fault.
const (
	healing = 20 * time.Second
	serving = 30 * time.Second

	checkpoint = 90 * time.Second // all boxes make one together, once a minute
)

// Run makes a world live through a plan: boxes start, owners register, things
// break, everything heals, and then all must work. Violations tell the rest.
func (s *Sim) Run(p Plan) {
	defer s.Close()
	s.startAll()
	if len(s.boxes) > 1 {
		s.runFor(time.Second)
		s.coldStart()
	}
	if !s.runUntil(s.now+serving, func() bool { return s.leader() != nil }) {
		s.violate("P5: no leader in %s, without any fault", serving)
		return
	}
	for range p.Owners {
		s.newAccount()
	}
	s.settle("register", func(c *client) bool { return c.register("password of "+c.name, "key of "+c.name) })
	if len(s.Violations()) > 0 {
		return
	}
	end := s.now + p.Chaos
	s.faults = p.Faults
	if p.Every > 0 {
		s.start(func(pr *process) { s.breaks(pr, p, end) })
	}
	for _, a := range s.accounts {
		a.client(func(c *client) { c.live(end) })
		for range p.Thieves {
			a.client(func(c *client) { c.thief(end, p.AtOnce) })
		}
	}
	s.runFor(p.Chaos)
	s.heal()
	s.runFor(healing)
	if s.leader() == nil {
		s.violate("P5: no leader %s after the last fault", healing)
		return
	}
	if p.Loses && !s.loses() {
		return
	}
	s.newAccount()
	s.settle("log in", func(c *client) bool { return c.comeBack() })
	s.same(p.Compare)
	for _, a := range s.accounts {
		a.check()
	}
}

// settle runs something for each account, all of which must end well in time.
func (s *Sim) settle(what string, do func(c *client) bool) {
	left := len(s.accounts)
	for _, a := range s.accounts {
		a.client(func(c *client) {
			if do(c) {
				left--
			} else {
				s.violate("P5: %s can not %s", a.name, what)
			}
		})
	}
	if !s.runUntil(s.now+serving, func() bool { return left == 0 }) {
		s.violate("P5: %d of %d accounts could not %s within %s", left, len(s.accounts), what, serving)
	}
}

// live is an owner: logins, with a wrong password now and then, other
// passwords, deletions.
func (c *client) live(end time.Duration) {
	for n := 0; c.now < end; n++ {
		c.sleep(c.between(0, 2*time.Second))
		s := c.status()
		if s == nil {
			continue
		}
		known, live := c.secrets[s.Generation], c.isLive(s)
		switch dice := c.rand.IntN(10); {
		case !live || dice == 0:
			c.register(fmt.Sprint("password ", n), fmt.Sprint("key ", n))
		case dice == 1:
			c.remove()
		case dice < 4:
			c.login("a wrong one")
		default:
			c.login(known.password)
		}
	}
}

// comeBack is an owner after the storm: what is live opens, and where nothing
// is, a registration makes it so.
func (c *client) comeBack() bool {
	for range triesMax {
		s := c.status()
		if s == nil {
			return false
		}
		if !c.isLive(s) {
			if !c.register("a new password", "a new key") {
				return false
			}
			continue
		}
		if _, why := c.login(c.secrets[s.Generation].password); why == "" {
			return true
		}
		c.sleep(pause)
	}
	return false
}
