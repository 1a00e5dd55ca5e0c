package channel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"strongroom/protocol/wire"
)

const (
	labelPeerKey     = "strongroom/v1/peer/key"
	peerSessionBytes = 8
	peerHeaderBytes  = headerBytes + peerSessionBytes + 8
)

// ErrSession: data of a session that this box does not have, or has no more.
var ErrSession = errors.New("channel: data of an unknown session between boxes")

// peerKEM is post-quantum and P-256: whoever records the line and takes
// either apart later has nothing.
func peerKEM() hpke.KEM { return hpke.MLKEM768P256() }

// PeerOffer is the private half of an offer, for one handshake.
type PeerOffer struct{ private hpke.PrivateKey }

// NewPeerOffer makes one, and its public half. It costs a multiplication.
func NewPeerOffer() (*PeerOffer, []byte, error) {
	private, err := peerKEM().GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	return &PeerOffer{private}, private.PublicKey().Bytes(), nil
}

// PeerSession is one direction between two boxes, of either end. Its key seals
// under a counter that only goes up: no nonce twice.
type PeerSession struct {
	id      [peerSessionBytes]byte
	gcm     cipher.AEAD
	counter uint64 // of the last message
}

// String keeps the key out of logs.
func (*PeerSession) String() string { return "channel.PeerSession(hidden)" }

// Speak answers an offer: the session of whoever speaks, and enc for the
// other end. Info is that of the Setup (RFC 9180 §5.1.1).
func Speak(offered, info []byte) (*PeerSession, []byte, error) {
	key, err := peerKEM().NewPublicKey(offered)
	if err != nil {
		return nil, nil, ErrKey
	}
	enc, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return nil, nil, err
	}
	s, err := newPeerSession(sender, enc)
	return s, enc, err
}

// Hear makes the other end. The offer must be forgotten with it. Errors: ErrOpen.
func (o *PeerOffer) Hear(enc, info []byte) (*PeerSession, error) {
	recipient, err := hpke.NewRecipient(enc, o.private, hpke.HKDFSHA256(), hpke.AES256GCM(), info)
	if err != nil {
		return nil, ErrOpen
	}
	return newPeerSession(recipient, enc)
}

func newPeerSession(e exporter, enc []byte) (*PeerSession, error) {
	key, err := e.Export(labelPeerKey, keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(enc)
	return &PeerSession{id: [peerSessionBytes]byte(hash[:]), gcm: gcm}, nil
}

// Seal seals the next message: version || kind || session || counter ||
// AES-256-GCM (NIST SP 800-38D).
func (s *PeerSession) Seal(plaintext []byte) []byte {
	s.counter++
	b := make([]byte, 0, peerHeaderBytes+len(plaintext)+tagBytes)
	b = append(append(b, wire.Version, byte(wire.PeerData)), s.id[:]...)
	b = binary.BigEndian.AppendUint64(b, s.counter)
	return s.gcm.Seal(b, s.nonce(s.counter), plaintext, b)
}

func (*PeerSession) nonce(counter uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, nonceBytes-8, nonceBytes), counter)
}

// Open opens a message. One that was opened already, or that a later one has
// overtaken, is ErrOpen: nobody on the way can say a thing twice. Errors: also
// ErrSession.
func (s *PeerSession) Open(sealed []byte) ([]byte, error) {
	if len(sealed) < peerHeaderBytes+tagBytes || [peerSessionBytes]byte(sealed[headerBytes:]) != s.id {
		return nil, ErrSession
	}
	counter := binary.BigEndian.Uint64(sealed[headerBytes+peerSessionBytes:])
	if counter <= s.counter {
		return nil, ErrOpen
	}
	plaintext, err := s.gcm.Open(nil, s.nonce(counter), sealed[peerHeaderBytes:], sealed[:peerHeaderBytes])
	if err != nil {
		return nil, ErrOpen
	}
	s.counter = counter
	return plaintext, nil
}
