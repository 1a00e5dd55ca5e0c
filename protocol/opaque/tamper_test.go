package opaque

import (
	"bytes"
	"errors"
	"testing"
)

// eachFlip gives every copy of b with one bit flipped, and refuses to have
// tried none.
func eachFlip(t *testing.T, b []byte, f func(flipped []byte, bit int)) {
	t.Helper()
	tried := 0
	for bit := 0; bit < 8*len(b); bit += flipStride {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		f(flipped, bit)
		tried++
	}
	if want := (8*len(b) + flipStride - 1) / flipStride; tried != want || tried == 0 {
		t.Fatalf("tried %d of %d", tried, want)
	}
}

// eachCut gives every shorter message and one longer.
func eachCut(b []byte, f func(cut []byte)) {
	for n := range b {
		f(b[:n])
	}
	f(concat(b, []byte{0}))
}

// refused fails unless the login that these messages make is refused, by the
// server for its form or by the client.
func (w *world) refused(t *testing.T, l *Login, ke1, record []byte, what string, bit int) {
	t.Helper()
	a := w.attempt(ke1)
	a.Record = record
	ke2, _, err := w.server.KE2(a)
	if errors.Is(err, ErrMessage) {
		return
	}
	must0(t, err)
	ke3, _, _, err := l.Finish(ke2, Identity{})
	if !errors.Is(err, ErrCredentials) || ke3 != nil {
		t.Errorf("%s, bit %d: %v", what, bit, err)
	}
}

func TestEveryBit(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		l, ke1, ke2, expected := w.login(t, password)
		ke3, _, _, err := l.Finish(ke2, Identity{})
		must0(t, err)

		eachFlip(t, ke1, func(b []byte, bit int) { w.refused(t, l, b, w.record, "KE1", bit) })
		eachFlip(t, w.record, func(b []byte, bit int) { w.refused(t, l, ke1, b, "record", bit) })
		eachFlip(t, ke2, func(b []byte, bit int) {
			got, _, _, err := l.Finish(b, Identity{})
			if got != nil || !errors.Is(err, ErrMessage) && !errors.Is(err, ErrCredentials) {
				t.Errorf("KE2, bit %d: %v", bit, err)
			}
		})
		eachFlip(t, ke3, func(b []byte, bit int) {
			if err := expected.Check(b); !errors.Is(err, ErrProof) {
				t.Errorf("KE3, bit %d: %v", bit, err)
			}
		})
		must0(t, expected.Check(ke3))
	})
}

// A flipped bit of the registration's messages is refused, or makes a record
// that the password does not open.
func TestEveryBitOfRegistration(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		request, r, err := w.client.StartRegistration(password)
		must0(t, err)
		response, err := w.server.RegistrationResponse(request, w.oprf)
		must0(t, err)
		l, ke1, _, _ := w.login(t, password)
		check := func(response []byte, what string, bit int) {
			record, _, err := r.Finish(response, Identity{})
			if errors.Is(err, ErrMessage) {
				return
			}
			must0(t, err)
			w.refused(t, l, ke1, record, what, bit)
		}
		eachFlip(t, response, func(b []byte, bit int) { check(b, "response", bit) })
		eachFlip(t, request, func(b []byte, bit int) {
			if response, err := w.server.RegistrationResponse(b, w.oprf); !errors.Is(err, ErrMessage) {
				must0(t, err)
				check(response, "request", bit)
			}
		})
	})
}

func TestEveryCut(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		l, ke1, ke2, expected := w.login(t, password)
		ke3, _, _, err := l.Finish(ke2, Identity{})
		must0(t, err)
		request, r, err := w.client.StartRegistration(password)
		must0(t, err)
		response, err := w.server.RegistrationResponse(request, w.oprf)
		must0(t, err)
		message := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, ErrMessage) {
				t.Errorf("%s: %v", what, err)
			}
		}
		eachCut(request, func(b []byte) { message("request", s.CheckRequest(b)) })
		eachCut(ke1, func(b []byte) { _, err := s.ParseKE1(b); message("KE1", err) })
		eachCut(w.record, func(b []byte) { message("record", s.CheckRecord(b)) })
		eachCut(response, func(b []byte) { _, _, err := r.Finish(b, Identity{}); message("response", err) })
		eachCut(ke2, func(b []byte) { _, _, _, err := l.Finish(b, Identity{}); message("KE2", err) })
		eachCut(ke3, func(b []byte) {
			if err := expected.Check(b); !errors.Is(err, ErrProof) {
				t.Errorf("KE3: %v", err)
			}
		})
	})
}

// Who answers with the client's own elements knows no key.
func TestReflection(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		n := s.elementBytes
		request, r, err := w.client.StartRegistration(password)
		must0(t, err)
		if _, _, err := r.Finish(concat(request, w.server.PublicKey), Identity{}); !errors.Is(err, ErrMessage) {
			t.Errorf("the request came back as its answer: %v", err)
		}
		l, ke1, ke2, _ := w.login(t, password)
		if _, _, _, err := l.Finish(concat(ke1[:n], ke2[n:]), Identity{}); !errors.Is(err, ErrMessage) {
			t.Errorf("the blinded element came back: %v", err)
		}
		at := len(ke2) - s.hashBytes - n
		if _, _, _, err := l.Finish(concat(ke2[:at], ke1[len(ke1)-n:], ke2[at+n:]), Identity{}); !errors.Is(err, ErrMessage) {
			t.Errorf("the key share came back: %v", err)
		}
	})
}

// Messages of two logins do not mix.
func TestSwappedMessages(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w, other := newWorld(t, s, Identity{}), newWorld(t, s, Identity{})
		one, _, ke2One, _ := w.login(t, password)
		two, _, ke2Two, expectedTwo := w.login(t, password)
		_, _, ke2Other, _ := other.login(t, password)
		for what, ke2 := range map[string][]byte{"another login's": ke2Two, "another record's": ke2Other} {
			if _, _, _, err := one.Finish(ke2, Identity{}); !errors.Is(err, ErrCredentials) {
				t.Errorf("%s KE2: %v", what, err)
			}
		}
		ke3, _, _, err := one.Finish(ke2One, Identity{})
		must0(t, err)
		if err := expectedTwo.Check(ke3); !errors.Is(err, ErrProof) {
			t.Errorf("another login's KE3: %v", err)
		}
		_, _, _, err = two.Finish(ke2Two, Identity{})
		must0(t, err)
	})
}
