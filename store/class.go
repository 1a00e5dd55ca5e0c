package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// Class is what is known of a failure: what to do next follows from it.
type Class uint8

const (
	// Permanent: asking again brings the same answer.
	Permanent Class = iota
	// Temporary: the storage or the line to it may soon be well again.
	Temporary
	// Absent: no such object.
	Absent
	// Refused: the storage is there and does not let us (keys, rights, a
	// bucket that is missing, a clock that is wrong).
	Refused
	// Full: no room left, or the quota is used up.
	Full
)

// String is the class's name, as programs read it.
func (c Class) String() string {
	return [...]string{"permanent", "temporary", "absent", "refused", "full"}[c]
}

// classed says what an error is beside what it says.
type classed struct {
	error
	class Class
	wait  time.Duration
}

func (c *classed) Unwrap() error { return c.error }

// Classed gives an error its class; its text stays.
func Classed(class Class, err error) error { return &classed{error: err, class: class} }

// After is Classed(Temporary), with the time that the storage asked for.
func After(wait time.Duration, err error) error {
	return &classed{error: err, class: Temporary, wait: wait}
}

// ClassOf gives the class that a provider said, else what the error itself
// tells. A broken line is temporary, a certificate that is wrong is not.
func ClassOf(err error) Class {
	var said *classed
	var dns *net.DNSError
	var line *net.OpError
	var late interface{ Timeout() bool }
	switch {
	case errors.As(err, &said):
		return said.class
	case errors.Is(err, ErrNotFound):
		return Absent
	case isAny(err, ErrExists, ErrName, ErrSize, ErrRange, context.Canceled):
		return Permanent
	case isAny(err, syscall.ENOSPC, syscall.EDQUOT):
		return Full
	case isAny(err, fs.ErrPermission, syscall.EROFS):
		return Refused
	case isAny(err, ErrUnknown, io.ErrUnexpectedEOF, io.EOF, context.DeadlineExceeded, net.ErrClosed), errors.As(err, &dns), errors.As(err, &line),
		isAny(err, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT), errors.As(err, &late) && late.Timeout():
		return Temporary
	}
	return Permanent
}

// asked is how long the storage wants to be left alone, 0 if it did not say.
func asked(err error) time.Duration {
	var said *classed
	if errors.As(err, &said) {
		return said.wait
	}
	return 0
}

func isAny(err error, of ...error) bool {
	for _, one := range of {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// briefed is an error that can be told in a few words.
type briefed struct {
	error
	brief string
}

func (b *briefed) Unwrap() error { return b.error }

// Briefly gives an error a few words for who waits; its text stays.
func Briefly(brief string, err error) error { return &briefed{error: err, brief: brief} }

// Brief tells an error in a few words, for who waits: "the storage answers
// 503 SlowDown".
func Brief(err error) string {
	var said *briefed
	var dns *net.DNSError
	var line *net.OpError
	switch {
	case errors.As(err, &said):
		return said.brief
	case errors.Is(err, errStalled):
		return "the storage stands still: " + errStalled.Error()
	case errors.As(err, &dns):
		return "the storage can not be found: no answer for the name " + dns.Name
	case errors.As(err, &line):
		return "no connection to the storage: " + line.Err.Error()
	}
	return err.Error()
}
