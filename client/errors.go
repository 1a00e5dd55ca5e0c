package client

import (
	"errors"
	"fmt"
	"time"

	"strongroom/protocol/wire"
)

// What can go wrong with a vault. Every error says by its kind whether a
// guess was used: only ErrWrongPassword and ErrOutcomeUnknown can have used
// one.
var (
	// ErrUnreachable: the vault could not be asked, or said that it can not
	// serve now. No guess was used.
	ErrUnreachable = errors.New("the vault can not be reached")
	// ErrOutcomeUnknown: a request left and no answer came. A guess may have
	// been used; running the same Recovery again is free.
	ErrOutcomeUnknown = errors.New("the vault's answer did not arrive")
	// ErrDestroyed: all attempts were used up; the record is gone for ever.
	ErrDestroyed = errors.New("the vault's record was destroyed after too many wrong passwords")
	// ErrExhausted: no attempt is left, and the last one is still open.
	ErrExhausted = errors.New("no attempt is left; the last one is still open")
	// errWait is what CodeWait stands for; ErrWait says until when.
	errWait = errors.New("the vault wants a wait before the next attempt")
	// ErrLifetime: the account made all the wrong attempts of its lifetime;
	// only the key that it was first registered with can register it anew.
	ErrLifetime = errors.New("all wrong attempts of this account's lifetime are used up")
	// ErrPending: a reset or a deletion without proof waits already.
	ErrPending = errors.New("another reset or deletion of this account waits already")
	// ErrArriving: a registration of this account waits at its new island. Who
	// has its key brings it on; anybody, when the fleet's reset wait is over.
	ErrArriving = errors.New("a registration of this account waits at its new island")
	// ErrLayout: the vault shows an older layout of its islands than this
	// device has seen, or than one of them knows. No guess was used.
	ErrLayout = errors.New("the vault shows an older layout of its islands than there is")
	// ErrStale: the vault holds a newer mark of this device. The storage was
	// set back before the device wrote into it.
	ErrStale = errors.New("the vault remembers a newer backup of this device")
	// ErrMarks: the record holds the marks of as many devices as it takes.
	ErrMarks = errors.New("the vault keeps the marks of no more devices")
	// ErrNoRecord: nothing is registered for this account, or it was deleted.
	ErrNoRecord = errors.New("the vault has no record for this account")
	// ErrLive: a record is registered already, and Register replaces none.
	ErrLive = errors.New("the vault has a record for this account already")
	// ErrOwner: the record was registered with another backup key.
	ErrOwner = errors.New("the vault's record belongs to another backup key")
	// ErrRaced: another device changed the record or used its slot meanwhile.
	ErrRaced = errors.New("another device used the record at the same time")
	// ErrTokenRefused: the account's token is wrong, expired, or for another
	// vault. No guess was used.
	ErrTokenRefused = errors.New("the vault refused the account's token")
	// ErrPin: the vault's fleet document is not the pinned one. Nothing was
	// sent to it.
	ErrPin = errors.New("this is not the pinned vault")
	// ErrAnswer: an answer that no honest vault gives.
	ErrAnswer = errors.New("the vault's answer is not valid")
	// ErrStretch: the record wants a password stretch beyond this client's
	// limits.
	ErrStretch = errors.New("the record asks for more work on the password than is sane")
)

// ErrWrongPassword: a guess was used and the password is not the right one.
// At AttemptsLeft 0 the record is destroyed as soon as this attempt expires.
type ErrWrongPassword struct {
	AttemptsLeft int
	Status       wire.StatusReport
}

func (e *ErrWrongPassword) Error() string {
	return fmt.Sprintf("wrong password, %d attempts left", e.AttemptsLeft)
}

// ErrWait: too many wrong passwords, the next attempt has to wait. No guess
// was used.
type ErrWait struct{ Status wire.StatusReport }

func (e *ErrWait) Error() string {
	return errWait.Error() + " until " + e.Until().Format(time.DateTime)
}
func (e *ErrWait) Unwrap() error { return errWait }

// Until is when the next attempt may be made, by the vault's clock.
func (e *ErrWait) Until() time.Time { return time.UnixMilli(int64(e.Status.WaitUntilMillis)) }

// refusal turns a code into an error of this package: one from inside a sealed
// answer, or one that inClear allows.
func refusal(c wire.Code) error {
	kind := ErrAnswer
	switch c {
	case "":
		return nil
	case wire.CodeToken, wire.CodeRelayToken:
		kind = ErrTokenRefused
	case wire.CodeNoRecord, wire.CodeDeleted:
		kind = ErrNoRecord
	case wire.CodeDestroyed:
		kind = ErrDestroyed
	case wire.CodeExhausted:
		kind = ErrExhausted
	case wire.CodeLifetime:
		kind = ErrLifetime
	case wire.CodePending:
		kind = ErrPending
	case wire.CodeStale:
		kind = ErrStale
	case wire.CodeMarks:
		kind = ErrMarks
	case wire.CodeWait:
		kind = errWait
	case wire.CodeUnavailable, wire.CodeRateLimited, wire.CodeIsland:
		kind = ErrUnreachable
	case wire.CodeUnknown:
		kind = ErrOutcomeUnknown
	case wire.CodeOwner:
		kind = ErrOwner
	case wire.CodeArriving:
		kind = ErrArriving
	case wire.CodeSlot, wire.CodeGeneration, wire.CodeReplaces, wire.CodeTicket, wire.CodeLayout, wire.CodeDeparted, wire.CodeReceipt:
		kind = ErrRaced
	}
	return &refused{kind, c}
}

// refused keeps the code beside the kind.
type refused struct {
	kind error
	code wire.Code
}

func (r *refused) Error() string { return fmt.Sprintf("%v (%s)", r.kind, r.code) }
func (r *refused) Unwrap() error { return r.kind }

// codeOf is the code of a refusal, "" of any other error.
func codeOf(err error) wire.Code {
	var r *refused
	if errors.As(err, &r) {
		return r.code
	}
	return ""
}

// ErrState is the error that a status stands for: nil when a guess may be
// made. A wait is no such error while the guess is only thought of: see
// ErrWait.
func ErrState(s wire.StatusReport) error {
	switch s.State {
	case wire.StateLive:
		return nil
	case wire.StateNone, wire.StateDeleted:
		return ErrNoRecord
	case wire.StateArriving, wire.StateDeparted: // it is somewhere
		return ErrArriving
	case wire.StateExhausted:
		return ErrExhausted
	case wire.StateDestroyed:
		return ErrDestroyed
	}
	return ErrAnswer
}
