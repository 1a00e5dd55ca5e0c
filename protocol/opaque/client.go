package opaque

import (
	crand "crypto/rand"
	"io"
)

// Client is the password's side. All of its fields must be the same at
// registration and at every login.
type Client struct {
	Suite          *Suite
	Context        []byte // names the application and its parameters
	ClientIdentity []byte // nil: the client's public key
	ServerIdentity []byte // nil: the server's public key

	// ServerPublicKey, when set, is the only one that a registration takes:
	// so a record never names a server other than the fleet document does.
	ServerPublicKey []byte

	Rand io.Reader // nil: crypto/rand
}

func (c *Client) rand() io.Reader {
	if c.Rand == nil {
		return crand.Reader
	}
	return c.Rand
}

func (c *Client) identities() identities { return identities{c.ClientIdentity, c.ServerIdentity} }

// check refuses what a 2-byte length could not say: two inputs cut alike would
// share a transcript.
func (c *Client) check(password []byte) error {
	return checkLengths(password, c.Context, c.ClientIdentity, c.ServerIdentity)
}

func checkLengths(inputs ...[]byte) error {
	for _, b := range inputs {
		if len(b) > fieldBytesMax {
			return ErrInput
		}
	}
	return nil
}

// refuseReflection refuses the client's own blinded element sent back: a server that
// knows no key at all could otherwise have a password registered under the
// OPRF key 1, open to a dictionary.
func refuseReflection(sent, received []byte) error {
	if string(sent) == string(received) {
		return ErrMessage
	}
	return nil
}
