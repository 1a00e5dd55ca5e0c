package opaque

import "io"

// For a service whose answer must not tell whether an account exists
// (RFC 9807 §6.3.2.2, §10.9). The vault answers with a named error instead.

// FakeRecord draws a record that no password opens. Keep it, or its account
// will be known by answers that change.
func (s *Suite) FakeRecord(rand io.Reader) ([]byte, error) {
	_, public, err := s.GenerateKey(rand)
	if err != nil {
		return nil, err
	}
	maskingKey, err := draw(rand, s.hashBytes)
	if err != nil {
		return nil, err
	}
	return s.fakeRecord(public, maskingKey), nil
}

func (s *Suite) fakeRecord(clientPublicKey, maskingKey []byte) []byte {
	return concat(clientPublicKey, maskingKey, make([]byte, s.envelopeBytes()))
}

// DeriveOPRFKey gives the OPRF key of a credential identifier, real or not,
// from one seed of Nh bytes for all of them (§5.2.2): a scalar for
// SoftMultiplier. Records whose keys an HSM makes do without it.
func (s *Suite) DeriveOPRFKey(seed, credentialIdentifier []byte) ([]byte, error) {
	return s.deriveKey(s.expand(seed, credentialIdentifier, "OprfKey", seedBytes), "OPAQUE-DeriveKeyPair")
}
