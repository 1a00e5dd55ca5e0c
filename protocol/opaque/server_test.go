package opaque

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A retry gets the same bytes; anything else gets new nonces and a new key.
func TestKE2IsAFunctionOfTheAttempt(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		ke1, _, err := w.client.StartLogin(password)
		must0(t, err)
		otherKE1, _, err := w.client.StartLogin(password)
		must0(t, err)
		again := bytes.Clone(w.record)
		again[len(again)-1] ^= 1
		attempt := w.attempt(ke1)
		ke2, e, err := w.server.KE2(attempt)
		must0(t, err)
		for range 3 {
			ke2Again, eAgain, err := w.server.KE2(attempt)
			must0(t, err)
			if !bytes.Equal(ke2, ke2Again) || !bytes.Equal(e.ClientMAC, eAgain.ClientMAC) || !bytes.Equal(e.SessionKey, eAgain.SessionKey) {
				t.Error("a retry got other bytes")
			}
		}
		for what, change := range map[string]func(a *Attempt){
			"seed":   func(a *Attempt) { a.Seed = bytes.Repeat([]byte{1}, seedBytes) },
			"KE1":    func(a *Attempt) { a.KE1 = parsed(s, otherKE1) },
			"record": func(a *Attempt) { a.Record = again },
		} {
			a := attempt
			change(&a)
			other, _, err := w.server.KE2(a)
			must0(t, err)
			one, two := drawn(t, s, ke2), drawn(t, s, other)
			for i := range one {
				if bytes.Equal(one[i], two[i]) {
					t.Errorf("another %s, same value %d", what, i)
				}
			}
		}
	})
}

// drawn gives KE2's masking nonce, server nonce and key share.
func drawn(t *testing.T, s *Suite, b []byte) [][]byte {
	t.Helper()
	p, err := fields(b, s.elementBytes, nonceBytes, s.maskedBytes(), nonceBytes, s.elementBytes, s.hashBytes)
	must0(t, err)
	return [][]byte{p[1], p[3], p[4]}
}

// The key share's seed must not be a nonce that travels in clear.
func TestDrawsAreApart(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		d, err := s.draws(Attempt{Seed: make([]byte, seedBytes)})
		must0(t, err)
		if bytes.Equal(d.nonce, d.keyShareSeed) || bytes.Equal(d.maskingNonce, d.keyShareSeed) || bytes.Equal(d.nonce, d.maskingNonce) {
			t.Errorf("%+v", d)
		}
	})
}

func TestOneMultiplicationOfEachKey(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		if *w.asked != 1 {
			t.Errorf("a registration asked for %d", *w.asked)
		}
		*w.asked = 0
		w.login(t, password)
		if *w.asked != 2 {
			t.Errorf("a login asked for %d", *w.asked)
		}
	})
}

var errGone = errors.New("gone")

// answering is an HSM that answers with what it is told.
type answering struct {
	answer []byte
	err    error
}

func (a answering) Multiply([]byte) ([]byte, error) { return a.answer, a.err }

func TestBrokenMultiplier(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		ke1, _, err := w.client.StartLogin(password)
		must0(t, err)
		broken := map[error]answering{errGone: {err: errGone}}
		for failure, bad := range badElements(t, s) {
			broken[fmt.Errorf("%w: %s", ErrKey, failure)] = answering{answer: bad}
		}
		for want, m := range broken {
			oprf, ake := w.attempt(ke1), *w.server
			oprf.OPRF, ake.AKE = m, m
			_, _, err1 := w.server.KE2(oprf)
			_, _, err2 := ake.KE2(w.attempt(ke1))
			_, err3 := w.server.RegistrationResponse(ke1[:s.elementBytes], m)
			for _, err := range []error{err1, err2, err3} {
				if !errors.Is(err, errGone) && !errors.Is(err, ErrKey) || errors.Is(err, errGone) != (want == errGone) {
					t.Errorf("%v: %v", want, err)
				}
			}
		}
	})
}

func TestServerInputs(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		ke1, _, err := w.client.StartLogin(password)
		must0(t, err)
		*w.asked = 0
		for n := range 2*seedBytes + 1 {
			a := w.attempt(ke1)
			a.Seed = make([]byte, n)
			if _, _, err := w.server.KE2(a); n != seedBytes && !errors.Is(err, ErrInput) {
				t.Errorf("a seed of %d bytes: %v", n, err)
			}
		}
		if *w.asked != 2 {
			t.Errorf("asked for %d multiplications", *w.asked)
		}
		long := make([]byte, fieldBytesMax+1)
		a, server := w.attempt(ke1), *w.server
		a.ClientIdentity, server.Context = long, long
		if _, _, err := w.server.KE2(a); !errors.Is(err, ErrInput) {
			t.Errorf("a long identity: %v", err)
		}
		if _, _, err := server.KE2(w.attempt(ke1)); !errors.Is(err, ErrInput) {
			t.Errorf("a long context: %v", err)
		}
		server = *w.server
		server.PublicKey = server.PublicKey[1:]
		if _, _, err := server.KE2(w.attempt(ke1)); !errors.Is(err, ErrKey) {
			t.Errorf("a short public key: %v", err)
		}
		if _, err := server.RegistrationResponse(ke1[:s.elementBytes], w.oprf); !errors.Is(err, ErrKey) {
			t.Errorf("a short public key: %v", err)
		}
	})
}

func TestExpectedNeverFilled(t *testing.T) {
	for _, ke3 := range [][]byte{nil, {}, {0}} {
		if err := (Expected{}).Check(ke3); !errors.Is(err, ErrProof) {
			t.Errorf("%x: %v", ke3, err)
		}
	}
}

// A fake record's answers look like a real one's, and no password opens them.
func TestFakeRecord(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		_, _, real, _ := w.login(t, password)
		fake, err := s.FakeRecord(rand.Reader)
		must0(t, err)
		must0(t, s.CheckRecord(fake))
		w.record = fake
		l, _, ke2, _ := w.login(t, password)
		if len(ke2) != len(real) {
			t.Errorf("%d bytes, a real one has %d", len(ke2), len(real))
		}
		if _, _, _, err := l.Finish(ke2, Identity{}); !errors.Is(err, ErrCredentials) {
			t.Errorf("opened: %v", err)
		}
	})
}

func TestSuiteByID(t *testing.T) {
	for id, want := range map[uint8]*Suite{1: P256SHA256, 2: Ristretto255SHA512} {
		if s, err := SuiteByID(id); err != nil || s != want || s.ID() != id {
			t.Errorf("%d: %v, %v", id, s, err)
		}
	}
	for _, id := range []uint8{0, 3, 255} {
		if s, err := SuiteByID(id); !errors.Is(err, ErrSuite) || s != nil {
			t.Errorf("%d: %v, %v", id, s, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	w := newWorld(t, P256SHA256, Identity{})
	secret := []byte("hunter2hunter2hunter2hunter2hunt")
	_, r, err := w.client.StartRegistration(secret)
	must0(t, err)
	_, l, err := w.client.StartLogin(secret)
	must0(t, err)
	for _, v := range []any{r, l, scalar(secret), Attempt{Seed: secret}, Expected{secret, secret}, passwordKey(secret),
		softMultiplier{p256{}, secret}, Attempt{OPRF: softMultiplier{p256{}, secret}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), "104 117 110", "0x68, 0x75"} {
				if strings.Contains(got, leak) {
					t.Errorf("%s of %T: %s", verb, v, got)
				}
			}
			if !strings.Contains(got, "redacted") {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}

// A KE1 that no suite parsed, or another one, gets no multiplication.
func TestUnparsedKE1IsRefused(t *testing.T) {
	worlds := map[*Suite]*world{}
	eachSuite(t, func(t *testing.T, s *Suite) { worlds[s] = newWorld(t, s, Identity{}) })
	one, two := worlds[P256SHA256], worlds[Ristretto255SHA512]
	for _, w := range []*world{one, two} {
		other := one
		if w == one {
			other = two
		}
		ke1, _, err := other.client.StartLogin(password)
		must0(t, err)
		foreign := w.attempt(nil)
		foreign.KE1 = parsed(other.suite, ke1)
		before := *w.asked
		for what, a := range map[string]Attempt{"none": w.attempt(nil), "another suite's": foreign} {
			if _, _, err := w.server.KE2(a); !errors.Is(err, ErrMessage) || *w.asked != before {
				t.Errorf("%s, %s: %v after %d multiplications", w.suite, what, err, *w.asked-before)
			}
		}
	}
}
