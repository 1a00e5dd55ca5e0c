package wire

import (
	"errors"
	"fmt"
)

var (
	errVersion = errors.New("unknown version")
	errUnion   = errors.New("not exactly one request or answer")
	errLength  = errors.New("a field is too long or too short")
	errState   = errors.New("unknown state")
)

// one tells whether exactly one is set.
func one(set ...bool) bool { return count(set) == 1 }

func count(set []bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// field is a named byte string with its limits.
type field struct {
	name     string
	bytes    int
	min, max int
}

func check(fields ...field) error {
	for _, f := range fields {
		if f.bytes < f.min || f.bytes > f.max {
			return fmt.Errorf("%w: %s has %d bytes", errLength, f.name, f.bytes)
		}
	}
	return nil
}

func (m *First) validate() error {
	if m.Version != Version {
		return errVersion
	}
	if !one(m.Status != nil, m.RegisterStart != nil, m.RecoverStart != nil, m.Delete != nil) {
		return errUnion
	}
	if err := check(field{"token", len(m.Token), 1, TokenBytesMax}); err != nil {
		return err
	}
	switch {
	case m.RegisterStart != nil:
		return check(field{"request", len(m.RegisterStart.Request), 1, OpaqueBytesMax})
	case m.RecoverStart != nil:
		return check(field{"KE1", len(m.RecoverStart.KE1), 1, OpaqueBytesMax})
	case m.Delete != nil:
		return check(field{"signature", len(m.Delete.Signature), SignatureBytes, SignatureBytes})
	}
	return nil
}

func (m *Second) validate() error {
	if m.Version != Version {
		return errVersion
	}
	if !one(m.RegisterFinish != nil, m.RecoverFinish != nil) {
		return errUnion
	}
	if m.RecoverFinish != nil {
		return check(field{"KE3", len(m.RecoverFinish.KE3), 1, OpaqueBytesMax})
	}
	f := m.RegisterFinish
	signatureMin := 0
	if len(f.Signature) > 0 {
		signatureMin = SignatureBytes
	}
	return check(
		field{"record", len(f.Record), 1, OpaqueBytesMax},
		field{"sealed key", len(f.SealedKey), 1, SealedKeyBytesMax},
		field{"signature", len(f.Signature), signatureMin, SignatureBytes},
	)
}

func (m *Answer) validate() error {
	if m.Version != Version {
		return errVersion
	}
	answers := count([]bool{m.RegisterStart != nil, m.RecoverStart != nil, m.RecoverFinish != nil})
	if answers > 1 || answers == 1 && m.Refused != "" || len(m.Refused) > codeBytesMax {
		return errUnion
	}
	if s := m.Status; s != nil && (s.State < StateNone || s.State > StateDeleted) {
		return errState
	}
	switch {
	case m.RegisterStart != nil:
		return check(
			field{"response", len(m.RegisterStart.Response), 1, OpaqueBytesMax},
			field{"ticket", len(m.RegisterStart.Ticket), 1, TicketBytesMax},
		)
	case m.RecoverStart != nil:
		return check(
			field{"KE2", len(m.RecoverStart.KE2), 1, OpaqueBytesMax},
			field{"ticket", len(m.RecoverStart.Ticket), 1, TicketBytesMax},
		)
	case m.RecoverFinish != nil:
		return check(field{"sealed key", len(m.RecoverFinish.SealedKey), 1, SealedKeyBytesMax + sessionSealBytes})
	}
	return nil
}
