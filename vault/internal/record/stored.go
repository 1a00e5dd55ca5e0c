package record

import (
	"errors"

	"strongroom/protocol/wire"
)

const storedVersion = 1

// ErrStored: a stored record does not parse, though it opened. It was written
// by another version of the program.
var ErrStored = errors.New("record: a stored record of an unknown version")

// stored is a record as the record tree keeps it.
type stored struct {
	Version uint8  `cbor:"1,keyasint"`
	Account string `cbor:"2,keyasint"`
	Record
}

// Encode gives the bytes that the record tree keeps of an account, still to be
// sealed.
func (r Record) Encode(account string) ([]byte, error) {
	return wire.Encode(stored{storedVersion, account, r})
}

// Decode undoes Encode, or gives ErrStored.
func Decode(b []byte) (account string, r Record, err error) {
	var s stored
	if err := wire.Decode(b, &s); err != nil || s.Version != storedVersion {
		return "", Record{}, ErrStored
	}
	return s.Account, s.Record, nil
}
