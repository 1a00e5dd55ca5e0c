package sim

import (
	"time"

	"strongroom/protocol/wire"
)

// operation is what a client asks for: one sending of it.
type operation struct {
	kind     kind
	gen      int // generations and KE1s are numbered from 1, by account
	replaces int
	slot     uint64
	ke1      int
}

type kind int

const (
	opStatus kind = iota
	opRegister
	opStart
	opFinish
	opDelete
)

// outcome is what it was told. Not known: it may have happened, or may yet.
type outcome struct {
	known   bool
	refused wire.Code
	state   wire.State
	gen     int
	slot    uint64
	wrong   uint32
}

// entry is a line of a history.
type entry struct {
	operation
	outcome
	call, back time.Duration
}

// modelled is one account as spec/vault.md has it.
type modelled struct {
	state    wire.State
	gen      int
	slot     uint64
	forgiven uint64
	ke1      int
	used     [8]uint64 // generations that were ever live, a bit each
}

func (m modelled) live() bool { return m.state == wire.StateLive || m.state == wire.StateExhausted }

func (m modelled) absent() wire.Code {
	switch m.state {
	case wire.StateDestroyed:
		return wire.CodeDestroyed
	case wire.StateDeleted:
		return wire.CodeDeleted
	default:
		return wire.CodeNoRecord
	}
}

// apply carries an operation out.
func (m modelled) apply(o operation) (modelled, wire.Code) {
	switch o.kind {
	case opRegister:
		return m.register(o)
	case opStart:
		return m.start(o)
	case opFinish:
		switch {
		case !m.live():
			return m, m.absent()
		case o.gen != m.gen:
			return m, wire.CodeGeneration
		case o.slot > m.slot:
			return m, wire.CodeTicket
		case o.slot > m.forgiven:
			m.forgiven, m.state = o.slot, wire.StateLive
		}
	case opDelete:
		switch {
		case m.state == wire.StateDeleted && o.gen == m.gen:
		case !m.live():
			return m, m.absent()
		case o.gen != m.gen:
			return m, wire.CodeGeneration
		default:
			m.state, m.ke1 = wire.StateDeleted, 0
		}
	}
	return m, ""
}

func (m modelled) start(o operation) (modelled, wire.Code) {
	switch {
	case !m.live():
		return m, m.absent()
	case o.gen != m.gen:
		return m, wire.CodeGeneration
	case o.slot == m.slot && o.ke1 == m.ke1:
		return m, "" // a retry is free
	case m.state == wire.StateExhausted:
		return m, wire.CodeExhausted
	case o.slot != m.slot+1:
		return m, wire.CodeSlot
	}
	m.slot, m.ke1 = o.slot, o.ke1
	if m.slot-m.forgiven >= budget {
		m.state = wire.StateExhausted
	}
	return m, ""
}

func (m modelled) register(o operation) (modelled, wire.Code) {
	word, bit := o.gen/64, uint64(1)<<(o.gen%64)
	switch {
	case m.live() && m.gen == o.gen:
		return m, ""
	case m.used[word]&bit != 0, !m.live() && o.replaces != 0, m.live() && o.replaces != 0 && o.replaces != m.gen:
		return m, wire.CodeReplaces
	case m.live() && o.replaces == 0:
		return m, wire.CodeOwner
	}
	m.state, m.gen, m.forgiven, m.ke1 = wire.StateLive, o.gen, m.slot, 0
	m.used[word] |= bit
	return m, ""
}

// step gives all states that an account may be in after an operation was told
// this outcome.
func (m modelled) step(o operation, told outcome) (after []any) {
	from := []modelled{m}
	if m.state == wire.StateExhausted { // destroyed by itself, at some time
		m.state, m.ke1 = wire.StateDestroyed, 0
		from = append(from, m)
	}
	for _, m := range from {
		next, refused := m.apply(o)
		switch {
		case !told.known:
			after = append(after, m, next)
		case o.kind == opStatus:
			if told.matches(m) {
				after = append(after, m)
			}
		case told.refused == "":
			if refused == "" {
				after = append(after, next)
			}
		case told.matches(m) && (told.refused == refused || tolerated(o, m, told.refused)):
			after = append(after, m)
		}
	}
	return after
}

func (t outcome) matches(m modelled) bool {
	return t.state == m.state && t.gen == m.gen && t.slot == m.slot && uint64(t.wrong) == m.slot-m.forgiven
}

// tolerated: refusals that hang on time, or on how often an account changed.
// They change nothing.
func tolerated(o operation, m modelled, c wire.Code) bool {
	switch c {
	case wire.CodeTicket:
		return o.kind == opRegister || o.kind == opFinish
	case wire.CodeReplaces:
		return o.kind == opRegister
	case wire.CodeExhausted:
		return o.kind == opStart && m.state == wire.StateExhausted
	}
	return false
}
