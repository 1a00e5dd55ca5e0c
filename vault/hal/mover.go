package hal

import "errors"

// Errors of moving keys.
var (
	ErrLocked = errors.New("hal: the keys of this HSM are locked: they leave it never again")
	ErrMoved  = errors.New("hal: the moved keys are not for this HSM, or damaged")
	ErrNoMove = errors.New("hal: no keys can be moved out of or into this HSM")
)

// CopyKeyBytes is the length of the key that a copy is under.
const CopyKeyBytes = 32

// Mover is an HSM whose island keys can be moved into others of its Kind, so
// that every box of an island has them. What moves is the key under which
// OPRF keys are wrapped and every named key made between MakeMovable and Lock;
// never other named keys (a box's identity), epoch keys, memory, or the key of
// Seal. What is moved is wrapped while it is outside; whether it meets this
// machine's memory in clear, each provider says.
//
// The wrapping does not say who made it: whoever imports compares the public
// keys with the ones he expects (vault.Receive does). Bytes under any of them
// can not be put together with another wrapping key.
type Mover interface {
	HAL

	// MakeMovable readies an HSM that has wrapped no OPRF key yet, nor was
	// moved into. ErrLocked: it is too late.
	MakeMovable() error

	// MakeTransferKey makes the key pair that keys are moved to; its private
	// half stays in this HSM. It takes the place of the one before.
	MakeTransferKey() (public []byte, err error)

	// Export wraps the keys, and a secret that goes with them, to a transfer
	// key of another HSM. ErrMoved: it is no transfer key. ErrLocked: after
	// Lock, and without MakeMovable.
	Export(to, secret []byte) (moved []byte, err error)

	// Import takes all of them or nothing, locked, and forgets the transfer
	// key. ErrMoved: they are not for it, or damaged. ErrKeyExists: there is
	// a key of one of the names. ErrLocked: this HSM has keys of an island.
	Import(moved []byte) (secret []byte, err error)

	// Copy wraps the same under a fresh random key, which it gives out: for
	// custodians, who keep shares of it. ImportCopy is to it what Import is to
	// Export.
	Copy(secret []byte) (copied []byte, key [CopyKeyBytes]byte, err error)
	ImportCopy(copied []byte, key [CopyKeyBytes]byte) (secret []byte, err error)

	// Lock ends what MakeMovable began, durably and for ever.
	Lock() error
}
