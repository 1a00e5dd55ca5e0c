package opaque

import "crypto/subtle"

// The schedule of keys that both sides of 3DH compute (RFC 9807 §6.4.2).

// keys is what the transcript and the three Diffie-Hellman values give.
type keys struct {
	serverMAC []byte // proves the server to the client: it ends KE2
	clientMAC []byte // proves the client to the server: it is KE3
	session   []byte
}

// identities are the parties' names in envelope and transcript; a name that is
// not set is the party's public key (§4.1.1).
type identities struct{ client, server []byte }

func (i identities) orKeys(clientPublicKey, serverPublicKey []byte) identities {
	if len(i.client) == 0 {
		i.client = clientPublicKey
	}
	if len(i.server) == 0 {
		i.server = serverPublicKey
	}
	return i
}

// preamble is §6.4.2.1. ke2 is KE2 without its MAC.
func preamble(context, ke1, ke2 []byte, i identities) []byte {
	return concat([]byte("OPAQUEv1-"), vector(context), vector(i.client), ke1, vector(i.server), ke2)
}

// schedule is §6.4.2.2, DeriveKeys over dh1 || dh2 || dh3, with the two MACs
// of §6.4.3 and §6.4.4.
func (s *Suite) schedule(dh [3][]byte, preamble []byte) keys {
	prk := s.extract(dh[:]...)
	transcript := s.sum(preamble)
	handshake := s.deriveSecret(prk, "HandshakeSecret", transcript)
	serverMAC := s.mac(s.deriveSecret(handshake, "ServerMAC", nil), transcript)
	return keys{
		serverMAC: serverMAC,
		clientMAC: s.mac(s.deriveSecret(handshake, "ClientMAC", nil), s.sum(preamble, serverMAC)),
		session:   s.deriveSecret(prk, "SessionKey", transcript),
	}
}

// deriveSecret is Derive-Secret of §6.4.2.2.
func (s *Suite) deriveSecret(secret []byte, label string, transcript []byte) []byte {
	label = "OPAQUE-" + label
	info := concat([]byte{byte(s.hashBytes >> 8), byte(s.hashBytes), byte(len(label))}, []byte(label),
		[]byte{byte(len(transcript))}, transcript)
	return s.expand(secret, info, "", s.hashBytes)
}

// mask adds the pad of §6.3.2.2 to b, or takes it off. A pad is never used
// for two plaintexts: its nonce is the server's, new for each answer.
func (s *Suite) mask(maskingKey, nonce, b []byte) []byte {
	pad := s.expand(maskingKey, nonce, "CredentialResponsePad", len(b))
	subtle.XORBytes(pad, pad, b)
	return pad
}
