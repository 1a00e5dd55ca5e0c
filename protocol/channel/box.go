package channel

import (
	"crypto/hpke"
	"fmt"
	"io"

	"strongroom/protocol/wire"
)

// Peer is the box's end of one request.
type Peer struct{ *trip }

// Length of the encapsulated key (draft-ietf-hpke-pq): an ML-KEM-768
// ciphertext (FIPS 203) and an uncompressed P-256 or an X25519 point.
const (
	mlkem768CiphertextBytes = 1088
	p256PointBytes          = 65
	x25519PointBytes        = 32
)

func encBytes(kem hpke.KEM) int {
	if kem.ID() == hpke.MLKEM768P256().ID() {
		return mlkem768CiphertextBytes + p256PointBytes
	}
	return mlkem768CiphertextBytes + x25519PointBytes
}

// OpenFirst opens a first request. It costs a KEM, and a call of the HSM that
// holds the key's curve half: a job, not for the box's loop.
func OpenFirst(key hpke.PrivateKey, fleet wire.FleetID, sealed []byte) (plaintext []byte, p *Peer, err error) {
	if _, err := kemOf(key.KEM().ID()); err != nil {
		return nil, nil, err
	}
	b, err := want(First, sealed, RequestFrameBytes)
	if err != nil {
		return nil, nil, err
	}
	enc, ciphertext := b[:encBytes(key.KEM())], b[encBytes(key.KEM()):]
	recipient, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(fleet))
	if err != nil {
		// Wrapped, so that a box tells a silent HSM from a bad frame.
		return nil, nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	padded, err := recipient.Open(header(First), ciphertext)
	if err != nil {
		return nil, nil, ErrOpen
	}
	t, err := exportTrip(recipient, append([]byte{}, enc...))
	if err != nil {
		return nil, nil, err
	}
	plaintext, err = unpad(padded)
	if err != nil {
		return nil, nil, err
	}
	return plaintext, &Peer{t}, nil
}

// SealAnswer answers this request. Rand nil is crypto/rand.
func (p *Peer) SealAnswer(rand io.Reader, plaintext []byte) ([]byte, error) {
	return p.sealAnswer(rand, plaintext)
}

// SecondSecret opens the second trip. It belongs into the box's sealed ticket
// and nowhere else.
func (p *Peer) SecondSecret() [32]byte { return p.second }

// OpenSecond opens the body of a second trip under the secret that its ticket
// holds.
func OpenSecond(secret [32]byte, body, ticket []byte) (plaintext []byte, p *Peer, err error) {
	if headerBytes+ticketLengthBytes+len(ticket)+len(body) != RequestFrameBytes || len(body) < saltBytes+tagBytes {
		return nil, nil, ErrFrame
	}
	salt := append([]byte{}, body[:saltBytes]...)
	d, err := derive(secret[:], salt)
	if err != nil {
		return nil, nil, err
	}
	padded, err := d.open(aadSecond(ticket), body[saltBytes:])
	if err != nil {
		return nil, nil, err
	}
	t, err := d.trip(salt)
	if err != nil {
		return nil, nil, err
	}
	plaintext, err = unpad(padded)
	if err != nil {
		return nil, nil, err
	}
	return plaintext, &Peer{t}, nil
}
