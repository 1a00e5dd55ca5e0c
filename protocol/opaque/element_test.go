package opaque

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// What must never be taken for an element: our own vectors, each of which
// names its failure.
const badElementsFile = "../../spec/vectors/bad-elements.json"

var badElementsCount = map[*Suite]int{P256SHA256: 20, Ristretto255SHA512: 14}

// badElements gives a suite's bad elements by the names of their failures.
func badElements(t testing.TB, s *Suite) map[string][]byte {
	t.Helper()
	var vectors []struct{ Suite, Failure, Element string }
	loadJSON(t, badElementsFile, &vectors)
	bad := map[string][]byte{}
	for _, v := range vectors {
		if v.Suite == s.String() {
			bad[v.Failure] = unhex(t, v.Element)
		}
	}
	if len(bad) != badElementsCount[s] {
		t.Fatalf("%d bad elements of %s", len(bad), s)
	}
	return bad
}

// places are all the places where a stranger's element is read.
func places(w *world, t *testing.T) map[string]func(element []byte) error {
	l, ke1, ke2, _ := w.login(t, password)
	request, r, err := w.client.StartRegistration(password)
	must0(t, err)
	response, err := w.server.RegistrationResponse(request, w.oprf)
	must0(t, err)
	r.client.ServerPublicKey = nil // so that the parser must see to it
	n := w.suite.elementBytes
	put := func(message []byte, at int, element []byte) []byte {
		return concat(message[:at], element, message[at+n:])
	}
	serve := func(ke1, record []byte) error {
		a := w.attempt(ke1)
		a.Record = record
		_, _, err := w.server.KE2(a)
		return err
	}
	finish := func(ke2 []byte) error { _, _, _, err := l.Finish(ke2, Identity{}); return err }
	register := func(response []byte) error { _, _, err := r.Finish(response, Identity{}); return err }
	return map[string]func([]byte) error{
		"check request":                func(e []byte) error { return w.suite.CheckRequest(e) },
		"request":                      func(e []byte) error { _, err := w.server.RegistrationResponse(e, w.oprf); return err },
		"check KE1, blinded":           func(e []byte) error { _, err := w.suite.ParseKE1(put(ke1, 0, e)); return err },
		"check KE1, share":             func(e []byte) error { _, err := w.suite.ParseKE1(put(ke1, n+nonceBytes, e)); return err },
		"check record":                 func(e []byte) error { return w.suite.CheckRecord(put(w.record, 0, e)) },
		"KE1, blinded":                 func(e []byte) error { return serve(put(ke1, 0, e), w.record) },
		"KE1, share":                   func(e []byte) error { return serve(put(ke1, n+nonceBytes, e), w.record) },
		"record":                       func(e []byte) error { return serve(ke1, put(w.record, 0, e)) },
		"response, evaluated":          func(e []byte) error { return register(put(response, 0, e)) },
		"response, server's key":       func(e []byte) error { return register(put(response, n, e)) },
		"KE2, evaluated":               func(e []byte) error { return finish(put(ke2, 0, e)) },
		"KE2, share":                   func(e []byte) error { return finish(put(ke2, len(ke2)-w.suite.hashBytes-n, e)) },
		"a multiplier in this process": func(e []byte) error { _, err := soft(t, w.suite, []byte(scalarOne[w.suite])).Multiply(e); return err },
	}
}

var scalarOne = map[*Suite]string{
	P256SHA256:         strings.Repeat("\x00", 31) + "\x01",
	Ristretto255SHA512: "\x01" + strings.Repeat("\x00", 31),
}

func TestBadElements(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		all := places(w, t)
		good := s.group.base(scalar(scalarOne[s])).bytes()
		*w.asked = 0
		for place, read := range all {
			for name, bad := range badElements(t, s) {
				if err := read(bad); !errors.Is(err, ErrMessage) {
					t.Errorf("%s: %s: %v", place, name, err)
				}
			}
		}
		if *w.asked != 0 {
			t.Errorf("%d multiplications were asked for", *w.asked)
		}
		// The places do read: the same bytes but for a good element pass the
		// parsers.
		for place, read := range all {
			if err := read(good); errors.Is(err, ErrMessage) {
				t.Errorf("%s: a good element: %v", place, err)
			}
		}
	})
}

// TestBadElementsByArithmetic checks that the table says what it is meant to
// say: x = 5 is on P-256, so x = p + 5 is refused for its encoding alone.
func TestBadElementsByArithmetic(t *testing.T) {
	if _, err := (p256{}).decode(unhex(t, "02"+strings.Repeat("00", 31)+"05")); err != nil {
		t.Error("x = 5 is not on the curve")
	}
}

// badScalars are big-endian; ristretto255's are turned round.
var badScalars = map[*Suite][]string{
	P256SHA256: {"", "00", "01", strings.Repeat("00", 32), strings.Repeat("ff", 32),
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
		"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
		strings.Repeat("00", 32) + "01", strings.Repeat("00", 30) + "01"},
	Ristretto255SHA512: {"", "00", "01", strings.Repeat("00", 32), strings.Repeat("ff", 32),
		"1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
		"1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ee",
		strings.Repeat("00", 32) + "01", strings.Repeat("00", 30) + "01"},
}

func TestBadScalars(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		for _, bad := range badScalars[s] {
			b := unhex(t, bad)
			if s == Ristretto255SHA512 {
				b = reversed(b)
			}
			if m, err := s.SoftMultiplier(b); !errors.Is(err, ErrKey) || m != nil {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if _, err := s.group.reduce(make([]byte, s.group.wideBytes())); !errors.Is(err, ErrKey) {
			t.Errorf("zero out of reduce: %v", err)
		}
	})
}

func reversed(b []byte) []byte {
	r := bytes.Clone(b)
	for i := range r {
		r[i] = b[len(b)-1-i]
	}
	return r
}
