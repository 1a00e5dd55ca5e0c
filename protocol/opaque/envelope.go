package opaque

import (
	"crypto/hmac"
	"fmt"
)

// The client's envelope (RFC 9807 §4): it holds no secret, only a nonce and a
// tag. Everything secret is derived from the stretched password.

// passwordKey is randomized_password, the root of the client's secrets.
type passwordKey []byte

// Format prints nothing of the key.
func (passwordKey) Format(f fmt.State, _ rune) { redact(f, "passwordKey") }

// passwordKey turns the OPRF's output into randomized_password (§5.2.3).
func (s *Suite) passwordKey(oprfOutput []byte, stretcher Stretcher) passwordKey {
	return s.extract(oprfOutput, stretcher.Stretch(oprfOutput, s.hashBytes))
}

// opened is what the password and an envelope's nonce give.
type opened struct {
	private   scalar // the client's AKE key
	public    []byte
	tag       []byte // what the envelope's tag must be
	exportKey []byte
}

// open derives the client's keys (§4.1.2, §4.1.3: Store and Recover do the
// same, and differ in what they do with the tag).
func (s *Suite) open(key passwordKey, nonce, serverPublicKey []byte, i identities) (o opened, err error) {
	seed := s.expand(key, nonce, "PrivateKey", seedBytes)
	if o.private, err = s.deriveDiffieHellmanKey(seed); err != nil {
		return o, err
	}
	o.public = s.group.base(o.private).bytes()
	o.exportKey = s.expand(key, nonce, "ExportKey", s.hashBytes)
	i = i.orKeys(o.public, serverPublicKey)
	authKey := s.expand(key, nonce, "AuthKey", s.hashBytes)
	o.tag = s.mac(authKey, nonce, serverPublicKey, vector(i.server), vector(i.client))
	return o, nil
}

// maskingKey hides the server's answer from who does not know the password.
func (s *Suite) maskingKey(key passwordKey) []byte {
	return s.expand(key, nil, "MaskingKey", s.hashBytes)
}

// unmask opens a credential response (§6.3.2.3): the server's public key and
// the envelope. With a wrong password both are noise, and ErrCredentials says
// so; only an envelope whose tag is right is looked into.
func (s *Suite) unmask(key passwordKey, m ke2, i identities) (o opened, serverPublicKey []byte, err error) {
	plain := s.mask(s.maskingKey(key), m.maskingNonce, m.masked)
	serverPublicKey = plain[:s.elementBytes]
	nonce, tag := plain[s.elementBytes:][:nonceBytes], plain[s.elementBytes+nonceBytes:]
	if o, err = s.open(key, nonce, serverPublicKey, i); err != nil {
		return o, nil, err
	}
	if !hmac.Equal(o.tag, tag) {
		return opened{}, nil, ErrCredentials
	}
	return o, serverPublicKey, nil
}
