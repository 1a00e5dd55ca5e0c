package opaque

import (
	"crypto/hmac"
	"fmt"
)

// Server is the record's side. It keeps nothing between two calls.
type Server struct {
	Suite     *Suite
	Context   []byte
	Identity  []byte // nil: PublicKey
	PublicKey []byte // of AKE
	AKE       Multiplier
}

// Multiplier multiplies elements by one secret scalar, which may live in an
// HSM. It must refuse what is not a valid element other than the identity.
type Multiplier interface {
	Multiply(element []byte) ([]byte, error)
}

// Attempt is all that one KE2 depends on, beside the server's keys: the same
// attempt always gives the same bytes, so that a retry is no second guess.
type Attempt struct {
	KE1            KE1
	Record         []byte
	ClientIdentity []byte     // nil: the record's client public key
	Seed           []byte     // secret, 32 random bytes, for this KE1 only
	OPRF           Multiplier // the record's OPRF key
}

// Format prints nothing of the seed.
func (Attempt) Format(f fmt.State, _ rune) { redact(f, "Attempt") }

// Expected is what the server keeps until KE3 comes.
type Expected struct{ ClientMAC, SessionKey []byte }

// Format prints nothing of the keys.
func (Expected) Format(f fmt.State, _ rune) { redact(f, "Expected") }

// Check is nil when ke3 proves that the client opened its envelope, else
// ErrProof. Only then is SessionKey shared with anyone. Its time tells
// nothing of ClientMAC.
func (e Expected) Check(ke3 []byte) error {
	// An Expected that was never filled must not take an empty KE3.
	if len(e.ClientMAC) == 0 || !hmac.Equal(e.ClientMAC, ke3) {
		return ErrProof
	}
	return nil
}

// RegistrationResponse answers a RegistrationRequest (RFC 9807 §5.2.2) with
// one multiplication. A request that is not valid is ErrMessage.
func (s *Server) RegistrationResponse(request []byte, oprf Multiplier) (response []byte, err error) {
	if err := s.check(nil); err != nil {
		return nil, err
	}
	if err := s.Suite.CheckRequest(request); err != nil {
		return nil, err
	}
	evaluated, err := s.multiply(oprf, request)
	if err != nil {
		return nil, err
	}
	return concat(evaluated, s.PublicKey), nil
}

// KE2 answers KE1 (§6.2.2) with one multiplication by each of OPRF and AKE,
// and three of its own. ErrMessage: KE1 was not parsed, or the record is not valid, and no
// multiplication was asked for.
func (s *Server) KE2(a Attempt) (ke2 []byte, e Expected, err error) {
	d, err := s.Suite.draws(a)
	if err != nil {
		return nil, e, err
	}
	return s.ke2(a, d)
}

// draws are the server's random values of one KE2.
type draws struct{ maskingNonce, nonce, keyShareSeed []byte }

// draws derives them from the attempt's seed. KE1 and the record are bound in:
// were a seed ever used again with another KE1 or record, the same pad and the
// same ephemeral key would not meet another plaintext or transcript.
func (s *Suite) draws(a Attempt) (draws, error) {
	if len(a.Seed) != seedBytes {
		return draws{}, ErrInput
	}
	bound := concat(s.sum(a.KE1.encoded), s.sum(a.Record))
	key := s.extract(a.Seed)
	return draws{
		maskingNonce: s.expand(key, bound, "strongroom/v1/MaskingNonce", nonceBytes),
		nonce:        s.expand(key, bound, "strongroom/v1/ServerNonce", nonceBytes),
		keyShareSeed: s.expand(key, bound, "strongroom/v1/ServerKeyShare", seedBytes),
	}, nil
}

func (s *Server) ke2(a Attempt, d draws) ([]byte, Expected, error) {
	r, err := s.parse(a)
	if err != nil {
		return nil, Expected{}, err
	}
	share, err := s.Suite.deriveDiffieHellmanKey(d.keyShareSeed)
	if err != nil {
		return nil, Expected{}, err
	}
	m := a.KE1
	evaluated, err := s.multiply(a.OPRF, m.blinded)
	if err != nil {
		return nil, Expected{}, err
	}
	dh2, err := s.multiply(s.AKE, m.keyShareBytes)
	if err != nil {
		return nil, Expected{}, err
	}
	masked := s.Suite.mask(r.maskingKey, d.maskingNonce, concat(s.PublicKey, r.envelope))
	unsigned := concat(evaluated, d.maskingNonce, masked, d.nonce, s.Suite.group.base(share).bytes())

	dh := [3][]byte{m.keyShare.multiply(share).bytes(), dh2, r.clientPublicKey.multiply(share).bytes()}
	i := identities{a.ClientIdentity, s.Identity}.orKeys(r.publicKeyBytes, s.PublicKey)
	k := s.Suite.schedule(dh, preamble(s.Context, m.encoded, unsigned, i))
	return concat(unsigned, k.serverMAC), Expected{k.clientMAC, k.session}, nil
}

// check refuses a server that was put together wrongly.
func (s *Server) check(clientIdentity []byte) error {
	if len(s.PublicKey) != s.Suite.elementBytes {
		return fmt.Errorf("%w: the server's public key", ErrKey)
	}
	return checkLengths(s.Context, s.Identity, clientIdentity)
}

// parse checks all that comes from outside before any secret is touched.
func (s *Server) parse(a Attempt) (r record, err error) {
	if err = s.check(a.ClientIdentity); err != nil {
		return r, err
	}
	if a.KE1.suite != s.Suite {
		return r, fmt.Errorf("%w: KE1 was not parsed by this suite", ErrMessage)
	}
	return s.Suite.parseRecord(a.Record)
}

// multiply asks a multiplier, and refuses an answer that has not the shape of
// an element: a broken HSM must not put the identity into a transcript.
func (s *Server) multiply(m Multiplier, element []byte) ([]byte, error) {
	product, err := m.Multiply(element)
	if err != nil {
		return nil, fmt.Errorf("opaque: multiply: %w", err)
	}
	if _, err := s.Suite.group.decode(product); err != nil {
		return nil, fmt.Errorf("%w: the multiplier's answer", ErrKey)
	}
	return product, nil
}
