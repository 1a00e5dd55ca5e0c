package peer

import (
	"crypto/tls"
	"fmt"

	"strongroom/protocol/wire"
)

// applicationProtocol (RFC 7301) keeps a line from being taken for anything
// else that TLS carries. The version is said in the hello, where a refusal can
// be told.
const applicationProtocol = "strongroom-peer"

// tlsConfig is TLS 1.3 with both ends known by their pins. InsecureSkipVerify
// leaves out names and chains, for which there is nobody to vouch; the
// certificate's key, which the handshake proves (RFC 8446 §4.4.3), must be
// pinned. Sessions are not resumed: each line proves it anew.
func (k *Key) tlsConfig(known func(Pin) bool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{k.certificate},
		ClientAuth:             tls.RequestClientCert, // none is refused below, by name
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		NextProtos:             []string{applicationProtocol},
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || s.NegotiatedProtocol != applicationProtocol {
				return ErrStranger
			}
			if pin := pinOf(s.PeerCertificates[0]); !known(pin) {
				return fmt.Errorf("%w: %s", ErrStranger, pin)
			}
			return nil
		},
	}
}

// boxOf is the box to which the other end's key is pinned.
func (p *Peers) boxOf(s tls.ConnectionState) *Box {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	return p.pinned(pinOf(s.PeerCertificates[0]))
}

func (p *Peers) hello(to wire.BoxID) hello {
	return hello{version: Version, fleet: p.config.Fleet, from: p.config.Box, to: to}
}
