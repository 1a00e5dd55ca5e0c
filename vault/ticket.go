package vault

import (
	"encoding/binary"
	"errors"
	"io"

	"strongroom/protocol/wire"
)

const (
	ticketVersion = 1

	// ticketBytes is what every ticket is filled to: length (2), CBOR, zeros. It travels
	// beside the sealed second trip, and its length must not tell the relay
	// a registration from a recovery.
	ticketBytes = 1 << 10
)

var errTicket = errors.New("vault: ticket refused")

// ticket is what the box remembers of a first trip by giving it, sealed, to
// the client. Exactly one of Register and Recover is set.
type ticket struct {
	Version       uint8           `cbor:"1,keyasint"`
	Account       string          `cbor:"2,keyasint"`
	Generation    wire.Generation `cbor:"3,keyasint"`
	Secret        [32]byte        `cbor:"4,keyasint"` // of the second trip's channel
	ExpiresMillis uint64          `cbor:"5,keyasint"`

	Register *registerTicket `cbor:"6,keyasint,omitempty"`
	Recover  *recoverTicket  `cbor:"7,keyasint,omitempty"`
}

type registerTicket struct {
	Wrapped    []byte   `cbor:"1,keyasint"` // the generation's OPRF key
	Transcript [32]byte `cbor:"2,keyasint"` // what RegisterFinish must show
	Changes    uint64   `cbor:"3,keyasint"` // Record.Changes at RegisterStart
}

type recoverTicket struct {
	Slot       uint64 `cbor:"1,keyasint"`
	ClientMAC  []byte `cbor:"2,keyasint"` // the proof that KE3 must be
	SessionKey []byte `cbor:"3,keyasint"`
}

func (t *ticket) String() string { return "vault.ticket(hidden)" }

// sealTicket binds the ticket to the fleet by its label.
func (v *Vault) sealTicket(rand io.Reader, t ticket) ([]byte, error) {
	t.Version = ticketVersion
	plaintext, err := wire.Encode(t)
	if err != nil {
		return nil, err
	}
	if len(plaintext) > ticketBytes-2 {
		return nil, errTicket
	}
	padded := make([]byte, ticketBytes)
	binary.BigEndian.PutUint16(padded, uint16(len(plaintext)))
	copy(padded[2:], plaintext)
	return v.epochs.Seal(rand, v.ticketLabel, nil, padded)
}

// openTicket gives errTicket for anything but a ticket of this island that is
// still good. A ticket that a thief replays carries the second trip's secret
// only in its sealed inside: without the first trip he can say nothing under it.
func (v *Vault) openTicket(sealed []byte) (ticket, error) {
	padded, _, err := v.epochs.Open(v.ticketLabel, nil, sealed)
	if err != nil || len(padded) != ticketBytes {
		return ticket{}, errTicket
	}
	n := int(binary.BigEndian.Uint16(padded))
	if n > ticketBytes-2 {
		return ticket{}, errTicket
	}
	var t ticket
	if err := wire.Decode(padded[2:2+n], &t); err != nil || t.Version != ticketVersion {
		return ticket{}, errTicket
	}
	if (t.Register == nil) == (t.Recover == nil) || v.nowMillis > t.ExpiresMillis {
		return t, errTicket
	}
	return t, nil
}
