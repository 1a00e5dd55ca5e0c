package channel

import (
	"bytes"
	"crypto/hpke"
	"fmt"
	"io"

	"strongroom/protocol/wire"
)

const (
	labelAlertInfo   = "strongroom/v1/alert"
	labelAlertSecret = "strongroom/v1/alert/secret"
)

// AlertSender is a box's one-way pipe to the operator: it seals to the alert
// key of the fleet's document what the host only carries. Who opens the key
// later reads all that it was sent; who has the host reads nothing.
type AlertSender struct {
	enc    []byte
	secret [secretBytes]byte
}

// String keeps the secret out of logs.
func (*AlertSender) String() string { return "channel.AlertSender(hidden)" }

// NewAlertSender costs a KEM: once in a box's life, not once an alert.
func NewAlertSender(pub hpke.PublicKey, fleet wire.FleetID) (*AlertSender, error) {
	if _, err := kemOf(pub.KEM().ID()); err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), alertInfo(fleet))
	if err != nil {
		return nil, err
	}
	secret, err := sender.Export(labelAlertSecret, secretBytes)
	if err != nil {
		return nil, err
	}
	return &AlertSender{enc, [secretBytes]byte(secret)}, nil
}

func alertInfo(fleet wire.FleetID) []byte { return append([]byte(labelAlertInfo), fleet[:]...) }

// Seal seals one message, filled to padded bytes. Every salt is random, so
// every key seals one message.
func (s *AlertSender) Seal(random io.Reader, plaintext []byte, padded int) ([]byte, error) {
	message, err := pad(nil, plaintext, padded)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, fmt.Errorf("channel: no random bits: %w", err)
	}
	d, err := derive(s.secret[:], salt)
	if err != nil {
		return nil, err
	}
	before := append(header(Alert), s.enc...)
	ciphertext, err := d.seal(before, message)
	if err != nil {
		return nil, err
	}
	return append(append(before, salt...), ciphertext...), nil
}

// AlertReader opens what boxes sent to one alert key. Not for several
// goroutines at once.
type AlertReader struct {
	key   hpke.PrivateKey
	fleet wire.FleetID

	enc    []byte // of the box that was read last
	secret []byte // and its secret
}

// NewAlertReader takes the private half of a fleet's alert key.
func NewAlertReader(key hpke.PrivateKey, fleet wire.FleetID) *AlertReader {
	return &AlertReader{key: key, fleet: fleet}
}

// Open opens one message. Errors: ErrVersion, ErrKind, ErrFrame, ErrOpen.
func (r *AlertReader) Open(sealed []byte) ([]byte, error) {
	b, err := want(Alert, sealed, len(sealed))
	if err != nil {
		return nil, err
	}
	n := encBytes(r.key.KEM())
	if len(b) < n+saltBytes+tagBytes {
		return nil, ErrFrame
	}
	secret, err := r.secretOf(b[:n])
	if err != nil {
		return nil, err
	}
	d, err := derive(secret, b[n:n+saltBytes])
	if err != nil {
		return nil, err
	}
	padded, err := d.open(sealed[:headerBytes+n], b[n+saltBytes:])
	if err != nil {
		return nil, err
	}
	return unpad(padded)
}

func (r *AlertReader) secretOf(enc []byte) ([]byte, error) {
	if bytes.Equal(enc, r.enc) {
		return r.secret, nil
	}
	recipient, err := hpke.NewRecipient(enc, r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), alertInfo(r.fleet))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	secret, err := recipient.Export(labelAlertSecret, secretBytes)
	if err != nil {
		return nil, err
	}
	r.enc, r.secret = append([]byte{}, enc...), secret
	return secret, nil
}
