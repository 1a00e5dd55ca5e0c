// Package history keeps what clients asked of an island and what they were
// answered, and judges it: by a model of one account, as if there were one
// copy of it (linearizability, checked by porcupine), and by counting the
// guesses that somebody could have had from all the answers together.
package history

import (
	"fmt"
	"math"
	"sync"
	"time"

	"strongroom/protocol/wire"
)

// Kind is what a client asks.
type Kind uint8

// The kinds.
const (
	Status Kind = iota
	Register
	Start  // a guess: RecoverStart
	Finish // its proof: RecoverFinish
	Delete
)

func (k Kind) String() string {
	return [...]string{"status", "register", "start", "finish", "delete"}[k]
}

// Ask is one request of one account. Each time that it is sent is an Ask of
// its own: the first may happen long after the second was answered.
type Ask struct {
	Kind       Kind
	Generation wire.Generation
	Slot       uint64           // Start, Finish
	KE1        [32]byte         // Start: SHA-256
	Right      bool             // Start: the password is the right one; it plays no part in the rules
	Replaces   *wire.Generation // Register, nil for none
	Root       bool             // Register: signed by the account's root owner
}

// Answer is what came back. Known false: nothing did, or a word that says
// nothing of what happened; then the Ask may happen at any later time, once.
type Answer struct {
	Known   bool
	Refused wire.Code
	Report  *wire.StatusReport // nil for none
	KE2     [32]byte           // Start that was not refused: SHA-256
}

// Entry is one Ask with its Answer, in nanoseconds since the history began.
type Entry struct {
	Ask
	Answer
	Caller       int
	Call, Return int64
}

const never = math.MaxInt64

// Account is the history of one.
type Account struct {
	Name string

	begun   time.Time
	mu      sync.Mutex
	entries []Entry
}

// NewAccount begins one. All accounts of a run have one beginning.
func NewAccount(name string, begun time.Time) *Account { return &Account{Name: name, begun: begun} }

// Begin is the moment before an Ask is sent.
func (a *Account) Begin() (call int64) { return int64(time.Since(a.begun)) }

// Note keeps an Ask that was sent after call, and what came back by now.
func (a *Account) Note(caller int, call int64, ask Ask, answer Answer) {
	e := Entry{Ask: ask, Answer: answer, Caller: caller, Call: call, Return: int64(time.Since(a.begun))}
	if !answer.Known {
		e.Return = never
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, e)
}

// Entries is what was noted so far.
func (a *Account) Entries() []Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Entry(nil), a.entries...)
}

func (e Entry) String() string {
	said := "no answer"
	if e.Known {
		said = "ok"
		if e.Refused != "" {
			said = string(e.Refused)
		}
		if r := e.Report; r != nil {
			said += fmt.Sprintf(" (state %d, generation %.4x, slot %d, left %d)", r.State, r.Generation, r.Slot, r.Left)
		}
	}
	return fmt.Sprintf("%12.6f %12.6f caller %d: %s %.4x slot %d KE1 %.4x: %s",
		float64(e.Call)/1e9, float64(e.Return)/1e9, e.Caller, e.Kind, e.Generation, e.Slot, e.KE1, said)
}
