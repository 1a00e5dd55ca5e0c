package opaque

import "slices"

// The messages of RFC 9807 §5.1 and §6.1: fields of fixed length, one after
// the other. A parser takes exactly the message's length and decodes every
// group element, so that what it gives is well-formed throughout.

// vector is I2OSP(len(b), 2) || b. Callers have checked the length.
func vector(b []byte) []byte {
	return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
}

func concat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// fields cuts a message into parts of the given lengths, ErrMessage when it
// is not exactly as long as they are together.
func fields(b []byte, lengths ...int) ([][]byte, error) {
	parts := make([][]byte, len(lengths))
	for i, n := range lengths {
		if len(b) < n {
			return nil, ErrMessage
		}
		parts[i], b = b[:n:n], b[n:]
	}
	if len(b) != 0 {
		return nil, ErrMessage
	}
	return parts, nil
}

// envelopeBytes is the length of Envelope: nonce and tag (§4.1.2).
func (s *Suite) envelopeBytes() int { return nonceBytes + s.hashBytes }

// maskedBytes is the length of what a credential response masks (§6.3.2.2).
func (s *Suite) maskedBytes() int { return s.elementBytes + s.envelopeBytes() }

// credentialBytes is the length of CredentialResponse (§6.3.1).
func (s *Suite) credentialBytes() int { return s.elementBytes + nonceBytes + s.maskedBytes() }

// registrationResponse is RegistrationResponse (§5.1).
type registrationResponse struct {
	evaluated       element
	serverPublicKey []byte // a valid element's encoding
}

func (s *Suite) parseRegistrationResponse(b []byte) (m registrationResponse, err error) {
	p, err := fields(b, s.elementBytes, s.elementBytes)
	if err != nil {
		return m, err
	}
	if m.evaluated, err = s.group.decode(p[0]); err != nil {
		return m, err
	}
	_, err = s.group.decode(p[1])
	m.serverPublicKey = p[1]
	return m, err
}

// record is RegistrationRecord (§5.1), what the server keeps.
type record struct {
	clientPublicKey element
	publicKeyBytes  []byte
	maskingKey      []byte
	envelope        []byte
}

func (s *Suite) parseRecord(b []byte) (m record, err error) {
	p, err := fields(b, s.elementBytes, s.hashBytes, s.envelopeBytes())
	if err != nil {
		return m, err
	}
	m.clientPublicKey, err = s.group.decode(p[0])
	m.publicKeyBytes, m.maskingKey, m.envelope = p[0], p[1], p[2]
	return m, err
}

// KE1 is a valid KE1 (§6.1): CredentialRequest and AuthRequest. To decode its
// elements costs as much as a tenth of its answer, so it is done once.
type KE1 struct {
	suite         *Suite // whose elements they are; nil in the zero value, which is none
	encoded       []byte
	blinded       []byte // a valid element's encoding
	keyShare      element
	keyShareBytes []byte
}

// ParseKE1 takes a valid KE1, or gives ErrMessage. It needs no secret, and so
// can stand at the door. It keeps b.
func (s *Suite) ParseKE1(b []byte) (KE1, error) {
	p, err := fields(b, s.elementBytes, nonceBytes, s.elementBytes)
	if err != nil {
		return KE1{}, err
	}
	if _, err = s.group.decode(p[0]); err != nil {
		return KE1{}, err
	}
	keyShare, err := s.group.decode(p[2])
	if err != nil {
		return KE1{}, err
	}
	return KE1{s, b, p[0], keyShare, p[2]}, nil
}

// ke2 is KE2 (§6.1): CredentialResponse and AuthResponse.
type ke2 struct {
	evaluated     element
	maskingNonce  []byte
	masked        []byte
	keyShare      element
	keyShareBytes []byte
	mac           []byte
	transcript    []byte // everything before the MAC, as the preamble holds it
}

func (s *Suite) parseKE2(b []byte) (m ke2, err error) {
	p, err := fields(b, s.elementBytes, nonceBytes, s.maskedBytes(), nonceBytes, s.elementBytes, s.hashBytes)
	if err != nil {
		return m, err
	}
	if m.evaluated, err = s.group.decode(p[0]); err != nil {
		return m, err
	}
	m.keyShare, err = s.group.decode(p[4])
	m.maskingNonce, m.masked, m.keyShareBytes, m.mac = p[1], p[2], p[4], p[5]
	m.transcript = b[:len(b)-s.hashBytes]
	return m, err
}

// CheckRequest is nil when b is a valid RegistrationRequest, else ErrMessage.
// It needs no secret, and so can stand at the door.
func (s *Suite) CheckRequest(b []byte) error {
	_, err := s.group.decode(b)
	return err
}

// CheckRecord is nil when b is a valid RegistrationRecord, else ErrMessage.
// It needs no secret.
func (s *Suite) CheckRecord(b []byte) error {
	_, err := s.parseRecord(b)
	return err
}
