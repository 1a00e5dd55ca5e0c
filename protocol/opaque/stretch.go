package opaque

import (
	"bytes"

	"golang.org/x/crypto/argon2"
)

// Stretcher makes guessing dear: the client's key stretching function
// (RFC 9807 §2.1). n is the suite's hash length, Nh.
type Stretcher interface {
	Stretch(oprfOutput []byte, n int) []byte
}

// Identity does not stretch. RFC 9807's vectors want it; a person's password
// never does.
type Identity struct{}

// Stretch gives oprfOutput as it is.
func (Identity) Stretch(oprfOutput []byte, _ int) []byte { return bytes.Clone(oprfOutput) }

// Argon2id is RFC 9106 as RFC 9807 §7 wants it: a salt of 16 zero bytes (the
// OPRF is the salt) and an output of n bytes. Other choices do not meet other
// clients of the RFC. A zero of Time or Threads counts as one, RFC 9106's least:
// the parameters come back from a server, and must not make the client panic.
type Argon2id struct {
	Time      uint32 // passes
	MemoryKiB uint32
	Threads   uint8
}

const argon2SaltBytes = 16

// Stretch takes the time and the memory that its parameters say.
func (a Argon2id) Stretch(oprfOutput []byte, n int) []byte {
	return argon2.IDKey(oprfOutput, make([]byte, argon2SaltBytes), max(a.Time, 1), a.MemoryKiB, max(a.Threads, 1), uint32(n))
}
