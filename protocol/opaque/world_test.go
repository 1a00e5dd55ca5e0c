package opaque

import (
	"crypto/rand"
	"testing"
)

var (
	bothSuites  = []*Suite{P256SHA256, Ristretto255SHA512}
	cheap       = Argon2id{Time: 1, MemoryKiB: 64, Threads: 1}
	password    = []byte("correct horse battery staple")
	testContext = []byte("strongroom/v1")
	account     = []byte("ida")
	fleet       = []byte("0123456789abcdef")
)

func must0(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func soft(t testing.TB, s *Suite, key []byte) Multiplier {
	t.Helper()
	m, err := s.SoftMultiplier(key)
	must0(t, err)
	return m
}

// counting counts what a secret key was asked for: the oracle of the tests
// that say "nothing was evaluated".
type counting struct {
	Multiplier
	asked *int
}

func (c counting) Multiply(element []byte) ([]byte, error) {
	*c.asked++
	return c.Multiplier.Multiply(element)
}

// world is one client with a password, one server, and one record.
type world struct {
	suite     *Suite
	client    *Client
	server    *Server
	oprf      Multiplier
	asked     *int // multiplications by OPRF and AKE keys
	record    []byte
	exportKey []byte
}

func newWorld(t testing.TB, s *Suite, stretch Stretcher) *world {
	t.Helper()
	asked := new(int)
	ake, public, err := s.GenerateKey(rand.Reader)
	must0(t, err)
	oprf, _, err := s.GenerateKey(rand.Reader)
	must0(t, err)
	w := &world{
		suite:  s,
		client: &Client{Suite: s, Context: testContext, ClientIdentity: account, ServerIdentity: fleet, ServerPublicKey: public},
		server: &Server{Suite: s, Context: testContext, Identity: fleet, PublicKey: public, AKE: counting{soft(t, s, ake), asked}},
		oprf:   counting{soft(t, s, oprf), asked},
		asked:  asked,
	}
	request, r, err := w.client.StartRegistration(password)
	must0(t, err)
	response, err := w.server.RegistrationResponse(request, w.oprf)
	must0(t, err)
	w.record, w.exportKey, err = r.Finish(response, stretch)
	must0(t, err)
	return w
}

// parsed is KE1, or its zero value where it is not valid.
func parsed(s *Suite, ke1 []byte) KE1 {
	k, _ := s.ParseKE1(ke1)
	return k
}

func (w *world) attempt(ke1 []byte) Attempt {
	return Attempt{KE1: parsed(w.suite, ke1), Record: w.record, ClientIdentity: account, Seed: make([]byte, seedBytes), OPRF: w.oprf}
}

// login goes as far as KE2.
func (w *world) login(t testing.TB, password []byte) (l *Login, ke1, ke2 []byte, e Expected) {
	t.Helper()
	ke1, l, err := w.client.StartLogin(password)
	must0(t, err)
	ke2, e, err = w.server.KE2(w.attempt(ke1))
	must0(t, err)
	return l, ke1, ke2, e
}

// eachSuite runs a test on both suites.
func eachSuite(t *testing.T, f func(t *testing.T, s *Suite)) {
	for _, s := range bothSuites {
		t.Run(s.String(), func(t *testing.T) { f(t, s) })
	}
}
