package sim

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// client is a device, or a thief who has the account's token.
type client struct {
	*account
	process *process
	opaque  opaque.Client
}

var stretch = wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}

func stretcher() opaque.Argon2id {
	return opaque.Argon2id{Time: stretch.Time, MemoryKiB: stretch.MemoryKiB, Threads: stretch.Threads}
}

const (
	patience = 3 * time.Second // with any one request
	pause    = 300 * time.Millisecond
	triesMax = 40
)

// client starts one.
func (a *account) client(run func(c *client)) *process {
	return a.Sim.start(func(p *process) {
		run(&client{a, p, opaque.Client{
			Suite: opaque.P256SHA256, Context: []byte(wire.OpaqueContext), ClientIdentity: []byte(a.name), ServerIdentity: a.fleet.ID[:],
		}})
	})
}

func (c *client) sleep(d time.Duration) { c.process.sleep(d) }

// answered is what came back: an answer under the seal, a refusal in clear, or nothing.
type answered struct {
	*wire.Answer
	clear wire.Code
}

func (a answered) code() wire.Code {
	if a.Answer != nil {
		return a.Refused
	}
	return a.clear
}

// send sends a sealed request and calls back once with the first answer.
func (c *client) send(sealed []byte, e *channel.Exchange, o operation, then func(answered)) {
	a := c.account
	line := a.begin(o)
	got := false
	again := func(since time.Duration) { a.begin(o).call = since }
	a.post(sealed, again, func(r wire.Reply) {
		if got {
			return
		}
		if r.Refused != "" {
			got = true
			then(answered{clear: r.Refused})
			return
		}
		plaintext, err := e.OpenAnswer(r.Sealed)
		if err != nil {
			return
		}
		answer, err := wire.DecodeAnswer(plaintext)
		if err != nil {
			a.violate("an answer that does not parse: %v", err)
			return
		}
		got = true
		a.end(line, answer)
		then(answered{Answer: answer})
	})
}

// ask sends and waits for the answer, with patience.
func (c *client) ask(sealed []byte, e *channel.Exchange, o operation) (got answered) {
	done := false
	over := func() {
		if !done {
			done = true
			c.process.wake()
		}
	}
	c.send(sealed, e, o, func(a answered) {
		if !done {
			got = a
			over()
		}
	})
	c.after(patience, over)
	c.process.pause()
	return got
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (c *client) sealFirst(f wire.First) ([]byte, *channel.Exchange) {
	f.Version, f.Token = wire.Version, c.token
	sealed, e, err := channel.SealFirst(c.key, c.fleet.ID, must(wire.Encode(f)))
	if err != nil {
		panic(err)
	}
	return sealed, e
}

func (c *client) first(f wire.First, o operation) (answered, *channel.Exchange) {
	sealed, e := c.sealFirst(f)
	return c.ask(sealed, e, o), e
}

func (c *client) second(e *channel.Exchange, ticket []byte, s wire.Second, o operation) (answered, *channel.Exchange) {
	s.Version = wire.Version
	sealed, answers, err := e.SealSecond(ticket, must(wire.Encode(s)))
	if err != nil {
		panic(err)
	}
	return c.ask(sealed, answers, o), answers
}

// status asks until it is told.
func (c *client) status() *wire.StatusReport {
	for range triesMax {
		if a, _ := c.first(wire.First{Status: &wire.StatusRequest{}}, operation{kind: opStatus}); a.Answer != nil && a.Refused == "" {
			return a.Status
		}
		c.sleep(pause)
	}
	return nil
}

// register registers a password and a key, over whatever there is that the
// owner has the key of. It tells whether that is there now.
func (c *client) register(password, key string) bool {
	tried := map[wire.Generation]bool{} // by a finish whose outcome is not known
	for range triesMax {
		s := c.status()
		if s == nil {
			return false
		}
		if tried[s.Generation] && s.State == wire.StateLive {
			c.Counts.Registrations++
			return true
		}
		if s.State == wire.StateExhausted {
			c.sleep(time.Second)
			continue
		}
		g, done := c.registerOnce(s, password, key)
		if done {
			c.Counts.Registrations++
			return true
		}
		tried[g] = true
		c.sleep(pause)
	}
	return false
}

func (c *client) registerOnce(s *wire.StatusReport, password, key string) (g wire.Generation, done bool) {
	request, state, err := c.opaque.StartRegistration([]byte(password))
	if err != nil {
		panic(err)
	}
	c.judge.registers(c.name, request)
	a, e := c.first(wire.First{RegisterStart: &wire.RegisterStart{Request: request}}, operation{kind: opStatus})
	if a.Answer == nil || a.RegisterStart == nil {
		return g, false
	}
	start := a.RegisterStart
	record, _, err := state.Finish(start.Response, stretcher())
	if err != nil {
		c.violate("a registration's answer is none: %v", err)
		return g, false
	}
	f := &wire.RegisterFinish{Transcript: start.Transcript(request), Record: record, SealedKey: []byte(key), Stretch: stretch}
	copy(f.Owner[:], owner(key).Public().(ed25519.PublicKey))
	g = start.Generation
	o := operation{kind: opRegister, gen: c.number(g)}
	if s.State == wire.StateLive {
		before, ours := c.secrets[s.Generation]
		if !ours {
			c.violate("P4: a generation of %s is live that its owner never registered", c.name)
			return g, false
		}
		f.Replaces = &s.Generation
		f.Signature = ed25519.Sign(owner(before.key), f.Statement(c.fleet.ID, c.name, g))
		o.replaces = c.number(s.Generation)
	}
	c.secrets[g] = secret{password, key}
	for range 3 {
		a, _ := c.second(e, start.Ticket, wire.Second{RegisterFinish: f}, o)
		if a.Answer != nil && a.Refused == "" {
			return g, true
		}
		if a.code() != "" && a.code() != wire.CodeUnavailable {
			return g, false // the ticket is over, or another was first: look again
		}
		c.Counts.Retries++
		c.sleep(pause)
	}
	return g, false
}

// login tries a password to the end: the key, or why not. Every trip is made
// again, with the same slot and the same KE1, until there is an answer.
func (c *client) login(password string) (key string, why wire.Code) {
	s := c.status()
	switch {
	case s == nil:
		return "", wire.CodeUnavailable
	case s.State != wire.StateLive:
		return "", "not live"
	}
	l := &login{client: c, gen: s.Generation, slot: s.Slot + 1, password: password}
	var err error
	if l.ke1, l.state, err = c.opaque.StartLogin([]byte(password)); err != nil {
		panic(err)
	}
	c.judge.sends(c.name, l.slot, l.ke1)
	for try := range triesMax {
		if try > 0 {
			c.Counts.Retries++
			c.sleep(pause)
		}
		key, why, again := l.try()
		if !again {
			return key, why
		}
	}
	return "", wire.CodeUnavailable
}

// login is one attempt.
type login struct {
	*client
	gen      wire.Generation
	slot     uint64
	password string
	ke1      []byte
	state    *opaque.Login
}

func (l *login) start() wire.First {
	return wire.First{RecoverStart: &wire.RecoverStart{Generation: l.gen, Slot: l.slot, KE1: l.ke1}}
}

func (l *login) operation(k kind) operation {
	return operation{kind: k, gen: l.number(l.gen), slot: l.slot, ke1: l.account.ke1(l.ke1)}
}

// again tells of a code whether the same trip is to be made again.
func again(c wire.Code) bool {
	return c == "" || c == wire.CodeUnavailable || c == wire.CodeUnknown || c == wire.CodeTicket
}

// try makes both trips once.
func (l *login) try() (key string, why wire.Code, once bool) {
	a, e := l.first(l.start(), l.operation(opStart))
	if a.Answer == nil || a.RecoverStart == nil {
		return "", a.code(), again(a.code())
	}
	l.judge.answered(l.name, l.slot, l.ke1, a.RecoverStart.KE2)
	ke3, session, _, err := l.state.Finish(a.RecoverStart.KE2, stretcher())
	right := l.secrets[l.gen]
	if err != nil {
		if right.password == l.password {
			l.violate("P4: the right password of %s is refused: %v", l.name, err)
		}
		return "", wire.CodeProof, false
	}
	l.judge.proves(l.name, l.slot)
	b, _ := l.second(e, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}}, l.operation(opFinish))
	if b.Answer == nil || b.RecoverFinish == nil {
		return "", b.code(), again(b.code())
	}
	p, err := channel.OpenUnderSession(session, l.fleet.ID, l.name, l.gen, l.slot, b.RecoverFinish.SealedKey)
	if err != nil || string(p) != right.key {
		l.violate("P4: %s got %q (%v), and had registered %q", l.name, p, err, right.key)
	}
	l.Counts.Logins++
	return string(p), "", false
}

// remove deletes what is live.
func (c *client) remove() {
	s := c.status()
	if s == nil || s.State != wire.StateLive {
		return
	}
	before, ours := c.secrets[s.Generation]
	if !ours {
		return
	}
	signature := ed25519.Sign(owner(before.key), wire.DeleteStatement(c.fleet.ID, c.name, s.Generation))
	for range 5 {
		a, _ := c.first(wire.First{Delete: &wire.Delete{Generation: s.Generation, Signature: signature}}, operation{kind: opDelete, gen: c.number(s.Generation)})
		if a.Answer != nil && !again(a.Refused) || a.Answer != nil && a.Refused == "" {
			c.Counts.Deletions++
			return
		}
		c.Counts.Retries++
		c.sleep(pause)
	}
}

// thief guesses with the account's token, several guesses at once: for the
// same slot and for later ones, at any box.
func (c *client) thief(until time.Duration, atOnce int) {
	for guess := 0; c.now < until; {
		s := c.status()
		if s == nil || s.State != wire.StateLive {
			c.sleep(time.Second)
			continue
		}
		for n := range atOnce {
			guess++
			l := &login{client: c, gen: s.Generation, slot: s.Slot + 1 + uint64(n%2), password: fmt.Sprint("guess ", guess)}
			l.ke1, l.state, _ = c.opaque.StartLogin([]byte(l.password))
			c.judge.sends(c.name, l.slot, l.ke1)
			sealed, e := c.sealFirst(l.start())
			c.send(sealed, e, l.operation(opStart), func(a answered) {
				if a.Answer != nil && a.RecoverStart != nil {
					c.judge.answered(l.name, l.slot, l.ke1, a.RecoverStart.KE2)
				}
			})
		}
		c.sleep(c.between(50*time.Millisecond, time.Second))
	}
}

func (c *client) isLive(s *wire.StatusReport) bool { return s.State == wire.StateLive }
