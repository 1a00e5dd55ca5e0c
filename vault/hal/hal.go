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
	ErrTaken     = errors.New("hal: the durable memory was written by another holder of this HSM")
)

// Group is a prime-order group (RFC 9497 §2.1).
type Group uint8

const (
	P256         Group = 1 // elements are SEC1 compressed, 33 bytes
	Ristretto255 Group = 2 // elements are RFC 9496 encodings, 32 bytes
)

// MemoryBytes is the size of the durable memory.
const MemoryBytes = 1024

// EpochKeysMin is how many epoch keys an HSM holds at a time, at least.
const EpochKeysMin = 4

// EpochPlaintextMax is what SealEpoch takes.
const EpochPlaintextMax = 256

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

	// MakeKey makes a named, non-extractable key for Multiply. Names are one
	// space with those of MakeSigningKey: ErrKeyExists.
	MakeKey(name string, g Group) (public []byte, err error)

	// PublicKey is the public element of a named key of either kind.
	PublicKey(name string) ([]byte, error)

	// Multiply multiplies point by a named key. A signing key is none of
	// this name (ErrNoKey): a key has one use.
	Multiply(name string, point []byte) ([]byte, error)

	// MultiplyX gives the x coordinate alone, 32 bytes, of what Multiply
	// gives by a key of P256 (ErrGroup for others): ECDH's shared secret (SP
	// 800-56A §5.7.1.2). A token has it for half the price.
	MultiplyX(name string, point []byte) ([]byte, error)

	// MakeSigningKey makes a named, non-extractable ECDSA P-256 key (FIPS
	// 186-5 §6); public is SEC1 compressed, 33 bytes.
	MakeSigningKey(name string) (public []byte, err error)

	// Sign signs a SHA-256 digest with a key of MakeSigningKey, and no other
	// (ErrNoKey). It gives r || s, 64 bytes, both big-endian.
	Sign(name string, digest [32]byte) ([]byte, error)

	// Seal and Open use an AEAD key that never leaves the HSM. The same
	// aad must be given to both.
	Seal(aad, plaintext []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)

	// MakeEpochKey makes the AEAD key of an epoch, an object of its own, so
	// that it can be destroyed. It is durable when it returns. ErrKeyExists:
	// there is one. ErrFull: destroy another first; EpochKeysMin always fit.
	MakeEpochKey(epoch uint64) error

	// SealEpoch and OpenEpoch use it. They are for the few secrets of an
	// epoch, not for records: plaintext has at most EpochPlaintextMax bytes,
	// and one key seals far fewer than 2^32 values. ErrNoKey: it was never
	// made, or was destroyed. What was sealed under a key that was destroyed
	// opens never again, also when MakeEpochKey makes another for this epoch
	// (ErrSealed then), and also when all files of the provider, but not the
	// HSM itself, are put back to before the destruction.
	SealEpoch(epoch uint64, aad, plaintext []byte) ([]byte, error)
	OpenEpoch(epoch uint64, aad, sealed []byte) ([]byte, error)

	// DestroyEpochKey destroys it for ever, durably when it returns; nil
	// where there is none. After an error it is destroyed or not, never half.
	DestroyEpochKey(epoch uint64) error

	// EpochKeys are the epochs whose keys exist, ascending.
	EpochKeys() ([]uint64, error)

	// ReadMemory gives the bytes last written by WriteMemory, nil when
	// there were none. WriteMemory is durable when it returns; when it
	// fails or the machine stops within it, either the old or the new
	// bytes are read afterwards.
	//
	// The memory belongs to one holder. A write answers ErrTaken, and writes
	// nothing, when the memory does not hold what this HAL last read or wrote
	// (opening it is a reading); every later write answers ErrTaken too. Two
	// boxes over one HSM with two copies of a log would else give the guesses
	// of each: so the box that opens later writes a fresh nonce, and the older
	// one finds out before it answers again. How close to one step comparing
	// and writing are, each provider says; where it leaves a window, at most
	// the one write that was under way in it is answered and then lost.
	ReadMemory() ([]byte, error)
	WriteMemory(p []byte) error // at most MemoryBytes

	// Close forgets what is unlocked. Later calls answer ErrGone.
	Close() error
}

// X is the x coordinate of what Multiply gave: MultiplyX of an HSM that gives
// whole points.
func X(product []byte, err error) ([]byte, error) {
	if err == nil && len(product) != 33 { // no SEC1 compressed point
		err = ErrGroup
	}
	if err != nil {
		return nil, err
	}
	return product[1:], nil
}
