package opaque

import (
	"bytes"
	"crypto/hmac"
	"fmt"
)

// Login is the client between KE1 and KE3 (RFC 9807 §6). It holds the password
// and must not leave memory.
type Login struct {
	client   Client
	password []byte
	blind    scalar
	share    scalar // the ephemeral key
	ke1      []byte
}

// Format prints nothing of the password.
func (*Login) Format(f fmt.State, _ rune) { redact(f, "Login") }

// StartLogin gives KE1 for the server. ErrInput as in StartRegistration.
func (c *Client) StartLogin(password []byte) (ke1 []byte, l *Login, err error) {
	blind, err := randomScalar(c.Suite.group, c.rand())
	if err != nil {
		return nil, nil, err
	}
	random, err := draw(c.rand(), nonceBytes+seedBytes)
	if err != nil {
		return nil, nil, err
	}
	return c.startLogin(password, blind, random[:nonceBytes], random[nonceBytes:])
}

func (c *Client) startLogin(password []byte, blind scalar, nonce, seed []byte) ([]byte, *Login, error) {
	if err := c.check(password); err != nil {
		return nil, nil, err
	}
	blinded, err := c.Suite.blind(password, blind)
	if err != nil {
		return nil, nil, err
	}
	share, err := c.Suite.deriveDiffieHellmanKey(seed)
	if err != nil {
		return nil, nil, err
	}
	ke1 := concat(blinded.bytes(), nonce, c.Suite.group.base(share).bytes())
	return ke1, &Login{*c, bytes.Clone(password), blind, share, ke1}, nil
}

// Finish takes KE2 and gives KE3 for the server, the session key that both
// now share, and the export key of the registration. ErrCredentials: the
// password is wrong, or the record or the server is not the one of the
// registration. ErrMessage: KE2 is not well-formed, whatever the password.
func (l *Login) Finish(ke2 []byte, s Stretcher) (ke3, sessionKey, exportKey []byte, err error) {
	suite := l.client.Suite
	m, err := suite.parseKE2(ke2)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := l.refuseReflections(ke2, m); err != nil {
		return nil, nil, nil, err
	}
	key := suite.passwordKey(suite.finalize(l.password, l.blind, m.evaluated), s)
	o, serverPublicKey, err := suite.unmask(key, m, l.client.identities())
	if err != nil {
		return nil, nil, nil, err
	}
	k, err := l.schedule(m, o, serverPublicKey)
	if err != nil {
		return nil, nil, nil, err
	}
	if !hmac.Equal(k.serverMAC, m.mac) {
		return nil, nil, nil, ErrCredentials
	}
	return k.clientMAC, k.session, o.exportKey, nil
}

func (l *Login) refuseReflections(ke2 []byte, m ke2) error {
	n := l.client.Suite.elementBytes
	if err := refuseReflection(l.ke1[:n], ke2[:n]); err != nil {
		return err
	}
	return refuseReflection(l.ke1[len(l.ke1)-n:], m.keyShareBytes)
}

// schedule is the client's 3DH (§6.4.3).
func (l *Login) schedule(m ke2, o opened, serverPublicKey []byte) (keys, error) {
	suite := l.client.Suite
	server, err := suite.group.decode(serverPublicKey)
	if err != nil {
		return keys{}, ErrCredentials
	}
	dh := [3][]byte{
		m.keyShare.multiply(l.share).bytes(),
		server.multiply(l.share).bytes(),
		m.keyShare.multiply(o.private).bytes(),
	}
	i := l.client.identities().orKeys(o.public, serverPublicKey)
	return suite.schedule(dh, preamble(l.client.Context, l.ke1, m.transcript, i)), nil
}
