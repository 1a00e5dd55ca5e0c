package channel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
)

// Labels of the exports and of the keys derived from them.
const (
	labelInfo   = "strongroom/v1/channel"
	labelAnswer = "strongroom/v1/channel/answer"
	labelSecond = "strongroom/v1/channel/second"
)

// trip is what both ends of one request hold: the secret of its answer, the
// request's public salt, and the secret of a trip that may follow.
type trip struct {
	answer [secretBytes]byte
	salt   []byte // RFC 9458 §4.4: enc; on a second trip its salt
	second [secretBytes]byte
}

// String keeps secrets out of logs.
func (*trip) String() string { return "channel.trip(hidden)" }

// exporter is RFC 9180 §5.3 on either side.
type exporter interface {
	Export(context string, length int) ([]byte, error)
}

func exportTrip(e exporter, enc []byte) (*trip, error) {
	answer, err := e.Export(labelAnswer, secretBytes)
	if err != nil {
		return nil, err
	}
	second, err := e.Export(labelSecond, secretBytes)
	if err != nil {
		return nil, err
	}
	return &trip{[secretBytes]byte(answer), enc, [secretBytes]byte(second)}, nil
}

// derive gives the key of one message by HKDF (RFC 5869) in the way of RFC
// 9458 §4.4. Every salt is random, so every key seals one message: its nonce
// is never used twice under it.
type derived struct{ prk []byte }

func derive(secret, salt []byte) (derived, error) {
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	return derived{prk}, err
}

func (d derived) expand(label string, n int) ([]byte, error) {
	return hkdf.Expand(sha256.New, d.prk, label, n)
}

func (d derived) aead() (cipher.AEAD, []byte, error) {
	key, err := d.expand("key", keyBytes)
	if err != nil {
		return nil, nil, err
	}
	nonce, err := d.expand("nonce", nonceBytes)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	a, err := cipher.NewGCM(block)
	return a, nonce, err
}

func (d derived) seal(aad, plaintext []byte) ([]byte, error) {
	a, nonce, err := d.aead()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nonce, plaintext, aad), nil
}

// sealFrame appends the padded and sealed message to a frame, and fills it to
// total bytes. The frame is sealed where it lies: of 8 KiB one copy is enough.
func (d derived) sealFrame(frame, aad, message []byte, total int) ([]byte, error) {
	a, nonce, err := d.aead()
	if err != nil {
		return nil, err
	}
	before := len(frame)
	if frame, err = pad(frame, message, total-before-tagBytes); err != nil {
		return nil, err
	}
	return a.Seal(frame[:before], nonce, frame[before:], aad), nil
}

func (d derived) open(aad, ciphertext []byte) ([]byte, error) {
	a, nonce, err := d.aead()
	if err != nil {
		return nil, err
	}
	plaintext, err := a.Open(nil, nonce, ciphertext, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// trip gives what belongs to a second trip sealed under d.
func (d derived) trip(salt []byte) (*trip, error) {
	answer, err := d.expand(labelAnswer, secretBytes)
	if err != nil {
		return nil, err
	}
	second, err := d.expand(labelSecond, secretBytes)
	if err != nil {
		return nil, err
	}
	return &trip{[secretBytes]byte(answer), salt, [secretBytes]byte(second)}, nil
}

// sealAnswer is RFC 9458 §4.4: a fresh nonce makes a fresh key, so that one
// request may be answered twice.
func (t *trip) sealAnswer(random io.Reader, message []byte) ([]byte, error) {
	frame := append(make([]byte, 0, AnswerFrameBytes), header(Answer)...)
	frame = frame[:headerBytes+saltBytes]
	nonce := frame[headerBytes:]
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("channel: no random bits: %w", err)
	}
	d, err := derive(t.answer[:], append(append([]byte{}, t.salt...), nonce...))
	if err != nil {
		return nil, err
	}
	return d.sealFrame(frame, header(Answer), message, AnswerFrameBytes)
}

func (t *trip) openAnswer(sealed []byte) ([]byte, error) {
	b, err := want(Answer, sealed, AnswerFrameBytes)
	if err != nil {
		return nil, err
	}
	d, err := derive(t.answer[:], append(append([]byte{}, t.salt...), b[:saltBytes]...))
	if err != nil {
		return nil, err
	}
	plaintext, err := d.open(header(Answer), b[saltBytes:])
	if err != nil {
		return nil, err
	}
	return unpad(plaintext)
}
