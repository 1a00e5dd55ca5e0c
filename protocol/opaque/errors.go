package opaque

import "errors"

// Errors of this package. Errors of a Multiplier are passed on wrapped.
var (
	// ErrCredentials: the password is wrong, or the server does not hold the
	// record that was registered. The two can not be told apart.
	ErrCredentials = errors.New("opaque: the password is wrong, or this is not the server it was registered with")

	// ErrProof: KE3 does not prove the password.
	ErrProof = errors.New("opaque: not the proof of the password")

	// ErrMessage: a message or record has the wrong length or holds what is
	// not an element of the group.
	ErrMessage = errors.New("opaque: not a valid message")

	// ErrInput: the caller's own input breaks a limit of the RFC.
	ErrInput = errors.New("opaque: a password, context or identity breaks its limit")

	// ErrSuite: no suite of this number.
	ErrSuite = errors.New("opaque: no such suite")

	// ErrKey: a scalar is zero or not canonical, a public key is not an
	// element, or a Multiplier answered with no element.
	ErrKey = errors.New("opaque: not a valid key")
)
