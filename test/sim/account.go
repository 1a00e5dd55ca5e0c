package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"time"

	"strongroom/protocol/wire"
)

// account is one account, and all that its owners know.
type account struct {
	*Sim
	name  string
	token string

	secrets map[wire.Generation]secret // of the registrations that its owner made
	numbers map[wire.Generation]int    // for the model
	ke1s    map[string]int
	history []*entry
}

// secret is what an owner remembers of a registration.
type secret struct{ password, key string }

// NewAccount makes an account that nothing is registered for.
func (s *Sim) newAccount() *account {
	name := fmt.Sprintf("account %d", len(s.accounts))
	a := &account{
		Sim: s, name: name, token: s.tokenFor(name), secrets: map[wire.Generation]secret{},
		numbers: map[wire.Generation]int{{}: 0}, ke1s: map[string]int{},
	}
	s.accounts = append(s.accounts, a)
	return a
}

// number of a generation; they are random, and so of no order.
func (a *account) number(g wire.Generation) int {
	n, known := a.numbers[g]
	if !known {
		n = len(a.numbers)
		a.numbers[g] = n
	}
	return n
}

// ke1 is the number of a KE1, by its blinded element.
func (a *account) ke1(ke1 []byte) int {
	element := string(ke1[:elementBytes])
	n, known := a.ke1s[element]
	if !known {
		n = len(a.ke1s) + 1
		a.ke1s[element] = n
	}
	return n
}

// begin enters an operation into the history; its outcome is open.
func (a *account) begin(o operation) *entry {
	e := &entry{operation: o, call: a.now}
	a.history = append(a.history, e)
	return e
}

// end enters what a sealed answer said. Refusals that leave the outcome open
// leave it open here.
func (a *account) end(e *entry, answer *wire.Answer) {
	open := answer.Refused == wire.CodeUnavailable || answer.Refused == wire.CodeUnknown
	if e.known || open || e.kind == opStatus && answer.Refused != "" {
		return
	}
	e.back = a.now
	e.outcome = outcome{known: true, refused: answer.Refused}
	if s := answer.Status; s != nil {
		e.state, e.outcome.gen, e.outcome.slot, e.wrong = s.State, a.number(s.Generation), s.Slot, s.Wrong
	}
}

// owner is the key pair that a client derives from its K.
func owner(key string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(key))
	return ed25519.NewKeyFromSeed(seed[:])
}

// check judges the account's history.
func (a *account) check() {
	won := func(number uint64) int {
		element, evaluated := a.judge.slots[slot{a.name, number}]
		if !evaluated {
			return 0
		}
		return a.ke1s[element]
	}
	if err := linearizable(a.history, won); err != nil {
		a.violate("P4: %s: %v", a.name, err)
		for _, e := range a.history {
			a.note("  %s %10s %10s %+v -> %+v", a.name, e.call.Round(time.Millisecond), e.back.Round(time.Millisecond), e.operation, e.outcome)
		}
	}
}
