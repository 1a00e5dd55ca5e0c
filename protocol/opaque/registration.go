package opaque

import (
	"bytes"
	"fmt"
)

// Registration is the client between the two messages of a registration
// (RFC 9807 §5). It holds the password and must not leave memory.
type Registration struct {
	client   Client
	password []byte
	blind    scalar
	request  []byte
}

// Format prints nothing of the password.
func (*Registration) Format(f fmt.State, _ rune) { redact(f, "Registration") }

// StartRegistration gives the RegistrationRequest for the server. The password
// is at most 65535 bytes, already prepared (RFC 8265); a longer one is ErrInput.
func (c *Client) StartRegistration(password []byte) (request []byte, r *Registration, err error) {
	blind, err := randomScalar(c.Suite.group, c.rand())
	if err != nil {
		return nil, nil, err
	}
	return c.startRegistration(password, blind)
}

func (c *Client) startRegistration(password []byte, blind scalar) ([]byte, *Registration, error) {
	if err := c.check(password); err != nil {
		return nil, nil, err
	}
	blinded, err := c.Suite.blind(password, blind)
	if err != nil {
		return nil, nil, err
	}
	request := blinded.bytes()
	return request, &Registration{*c, bytes.Clone(password), blind, request}, nil
}

// Finish takes the RegistrationResponse and gives the record for the server
// and the export key, Nh bytes that only the password opens again. A response
// that is not valid, or comes from another server than the client expects, is
// ErrMessage.
func (r *Registration) Finish(response []byte, s Stretcher) (record, exportKey []byte, err error) {
	nonce, err := draw(r.client.rand(), nonceBytes)
	if err != nil {
		return nil, nil, err
	}
	return r.finish(response, s, nonce)
}

func (r *Registration) finish(response []byte, s Stretcher, nonce []byte) (record, exportKey []byte, err error) {
	suite := r.client.Suite
	m, err := suite.parseRegistrationResponse(response)
	if err != nil {
		return nil, nil, err
	}
	if err := refuseReflection(r.request, response[:suite.elementBytes]); err != nil {
		return nil, nil, err
	}
	if want := r.client.ServerPublicKey; want != nil && !bytes.Equal(want, m.serverPublicKey) {
		return nil, nil, fmt.Errorf("%w: another server's key", ErrMessage)
	}
	key := suite.passwordKey(suite.finalize(r.password, r.blind, m.evaluated), s)
	o, err := suite.open(key, nonce, m.serverPublicKey, r.client.identities())
	if err != nil {
		return nil, nil, err
	}
	return concat(o.public, suite.maskingKey(key), nonce, o.tag), o.exportKey, nil
}
