package opaque

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// badElements of each suite: what must never be taken for an element.
var badElements = map[*Suite]map[string]string{
	P256SHA256: {
		"empty":                  "",
		"identity of SEC1":       "00",
		"identity, padded":       strings.Repeat("00", 33),
		"short":                  "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2",
		"off the curve":          "02" + strings.Repeat("00", 31) + "01", // no y for x = 1
		"x = p":                  "02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"x = p + 5, 5 is on it":  "02ffffffff00000001000000000000000000000001000000000000000000000004",
		"x all ones":             "03" + strings.Repeat("ff", 32),
		"prefix of even and odd": "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		"hybrid prefix":          "066b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		"x alone":                "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		"long":                   "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c29600",
		"uncompressed": "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" +
			"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
	},
	// Most are of RFC 9496 appendix A.2.
	Ristretto255SHA512: {
		"empty":               "",
		"identity":            strings.Repeat("00", 32),
		"short":               "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d",
		"long":                "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d7600",
		"identity plus p":     "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"all ones":            strings.Repeat("ff", 32),
		"non-canonical field": "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"negative field":      "0100000000000000000000000000000000000000000000000000000000000000",
		"non-square x^2":      "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
		"negative xy":         "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
		"s = -1, y = 0":       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	},
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
		"check KE1, blinded":           func(e []byte) error { return w.suite.CheckKE1(put(ke1, 0, e)) },
		"check KE1, share":             func(e []byte) error { return w.suite.CheckKE1(put(ke1, n+nonceBytes, e)) },
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
			for name, bad := range badElements[s] {
				if err := read(unhex(t, bad)); !errors.Is(err, ErrMessage) {
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
