package channel

import (
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"

	"strongroom/protocol/wire"
)

// ParsePublicKey reads a channel key of the fleet's document. Only the two
// hybrids are taken; anything else is ErrKey.
func ParsePublicKey(kem uint16, b []byte) (hpke.PublicKey, error) {
	k, err := kemOf(kem)
	if err != nil {
		return nil, err
	}
	key, err := k.NewPublicKey(b)
	if err != nil {
		return nil, ErrKey
	}
	return key, nil
}

// kemOf refuses the KEMs without a post-quantum half and those not meant here.
func kemOf(id uint16) (hpke.KEM, error) {
	for _, k := range []hpke.KEM{hpke.MLKEM768P256(), hpke.MLKEM768X25519()} {
		if k.ID() == id {
			return k, nil
		}
	}
	return nil, ErrKey
}

// Exchange is the client's end of one request.
type Exchange struct{ *trip }

// SealFirst seals the first request of an exchange to a box.
func SealFirst(pub hpke.PublicKey, fleet wire.FleetID, plaintext []byte) (sealed []byte, e *Exchange, err error) {
	if _, err := kemOf(pub.KEM().ID()); err != nil {
		return nil, nil, err
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), info(fleet))
	if err != nil {
		return nil, nil, err
	}
	padded, err := pad(nil, plaintext, RequestFrameBytes-headerBytes-len(enc)-tagBytes)
	if err != nil {
		return nil, nil, err
	}
	ciphertext, err := sender.Seal(header(First), padded)
	if err != nil {
		return nil, nil, err
	}
	t, err := exportTrip(sender, enc)
	if err != nil {
		return nil, nil, err
	}
	return append(append(header(First), enc...), ciphertext...), &Exchange{t}, nil
}

func info(fleet wire.FleetID) []byte { return append([]byte(labelInfo), fleet[:]...) }

// OpenAnswer opens the answer of this request, and of no other.
func (e *Exchange) OpenAnswer(sealed []byte) ([]byte, error) { return e.openAnswer(sealed) }

// SealSecond seals a request that follows this one, with the ticket that its
// answer brought. Each call seals under a fresh salt, so that a client may
// call it again when it does not know what became of the last.
func (e *Exchange) SealSecond(ticket, plaintext []byte) (sealed []byte, e2 *Exchange, err error) {
	if len(ticket) == 0 || len(ticket) > wire.TicketBytesMax {
		return nil, nil, ErrTooLong
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	d, err := derive(e.second[:], salt)
	if err != nil {
		return nil, nil, err
	}
	aad := aadSecond(ticket)
	frame := append(append(make([]byte, 0, RequestFrameBytes), aad...), salt...)
	if frame, err = d.sealFrame(frame, aad, plaintext, RequestFrameBytes); err != nil {
		return nil, nil, err
	}
	t, err := d.trip(salt)
	if err != nil {
		return nil, nil, err
	}
	return frame, &Exchange{t}, nil
}

// aadSecond is all of a second frame before its salt: a body that is moved to
// another ticket does not open.
func aadSecond(ticket []byte) []byte {
	b := binary.BigEndian.AppendUint16(header(Second), uint16(len(ticket)))
	return append(b, ticket...)
}
