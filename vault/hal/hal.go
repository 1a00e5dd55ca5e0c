// Package hal is everything that a box must be given by its hardware: keys
// that do not leave it, random bits and a small durable memory. Providers
// live in hsm/; hsm/hsmtest is the one contract that all of them pass.
package hal

import "errors"

// Errors that a provider answers with; it wraps them with what it knows.
var (
	ErrGone      = errors.New("hal: the HSM does not answer")
	ErrFull      = errors.New("hal: the HSM has no room")
	ErrSecret    = errors.New("hal: the passphrase or PIN is wrong")
	ErrGroup     = errors.New("hal: the HSM does not know this group")
	ErrPoint     = errors.New("hal: not a valid group element")
	ErrWrapped   = errors.New("hal: the wrapped key is not one of ours, or damaged")
	ErrSealed    = errors.New("hal: the sealed value is not one of ours, or damaged")
	ErrNoKey     = errors.New("hal: no key of this name")
	ErrKeyExists = errors.New("hal: a key of this name exists")
	ErrTorn      = errors.New("hal: the durable memory is damaged")
)

// Group is a prime-order group (RFC 9497 §2.1).
type Group uint8

const (
	P256         Group = 1 // elements are SEC1 compressed, 33 bytes
	Ristretto255 Group = 2 // elements are RFC 9496 encodings, 32 bytes
)

// MemoryBytes is the size of the durable memory.
const MemoryBytes = 1024

// HAL is one HSM. All methods may be called by many goroutines at once. A
// point that is not a valid, non-identity element gets ErrPoint.
type HAL interface {
	// Kind names the provider as status and bundle show it: "soft".
	Kind() string

	// Random fills p with random bits.
	Random(p []byte) error

	// MakeOPRFKey makes a random scalar that leaves the HSM only wrapped
	// (at most wire.WrappedBytesMax bytes), and its public element. Not
	// every HSM has every group: it and MakeKey answer ErrGroup then.
	MakeOPRFKey(g Group) (wrapped, public []byte, err error)

	// MultiplyWrapped unwraps a key of MakeOPRFKey inside the HSM,
	// multiplies point by it and destroys what it unwrapped. This is the
	// one call at which guesses are counted by the tests.
	MultiplyWrapped(g Group, wrapped, point []byte) ([]byte, error)

	// MakeKey makes a named, non-extractable key.
	MakeKey(name string, g Group) (public []byte, err error)

	// PublicKey is the public element of a named key.
	PublicKey(name string) ([]byte, error)

	// Multiply multiplies point by a named key.
	Multiply(name string, point []byte) ([]byte, error)

	// Seal and Open use an AEAD key that never leaves the HSM. The same
	// aad must be given to both.
	Seal(aad, plaintext []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)

	// ReadMemory gives the bytes last written by WriteMemory, nil when
	// there were none. WriteMemory is durable when it returns; when it
	// fails or the machine stops within it, either the old or the new
	// bytes are read afterwards.
	ReadMemory() ([]byte, error)
	WriteMemory(p []byte) error // at most MemoryBytes

	// Close forgets what is unlocked. Later calls answer ErrGone.
	Close() error
}
