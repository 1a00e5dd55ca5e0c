package ledger

import (
	"errors"
	"fmt"

	"strongroom/vault/internal/seal"
)

// ErrEpoch: something was sealed in an epoch whose key is gone.
var ErrEpoch = errors.New("ledger: sealed in an epoch whose key was destroyed, or never was this island's")

// Epoch is a time of the island with a secret of its own, under which records,
// log entries, checkpoints and tickets are sealed. At rest the secret is
// sealed by an HSM key that can be destroyed: what was sealed in an epoch, on
// whatever copy of the disk, is gone with it.
type Epoch struct {
	Number uint64 `cbor:"1,keyasint"` // from 1; 0 is the time before there were epochs
	Sealed []byte `cbor:"2,keyasint"` // the secret, by the HSM
}

// Epochs are those whose secrets the box holds: the newest, under which all is
// sealed, and while records are sealed again the one before it. The zero value
// holds none. It is not changed in place: jobs keep the value that they got.
type Epochs struct{ held []openEpoch }

type openEpoch struct {
	Epoch
	secret *seal.Key
}

// String keeps the secrets out of every print.
func (Epochs) String() string   { return "ledger.Epochs(hidden)" }
func (Epochs) GoString() string { return "ledger.Epochs(hidden)" }

// With is e and a newer epoch.
func (e Epochs) With(n Epoch, secret *seal.Key) Epochs {
	return Epochs{append(e.held[:len(e.held):len(e.held)], openEpoch{n, secret})}
}

// Newest is e without all but the newest.
func (e Epochs) Newest() Epochs { return Epochs{e.held[max(0, len(e.held)-1):]} }

// List is what a checkpoint tells of them, oldest first.
func (e Epochs) List() (list []Epoch) {
	for _, o := range e.held {
		list = append(list, o.Epoch)
	}
	return list
}

// Count is how many there are.
func (e Epochs) Count() int { return len(e.held) }

// Number is that of the newest.
func (e Epochs) Number() uint64 { return e.held[len(e.held)-1].Number }

// secret is that of an epoch, or ErrEpoch.
func (e Epochs) secret(number uint64) (*seal.Key, error) {
	for _, o := range e.held {
		if o.Number == number {
			return o.secret, nil
		}
	}
	return nil, fmt.Errorf("%w: epoch %d", ErrEpoch, number)
}
