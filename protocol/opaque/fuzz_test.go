package opaque

import (
	"bytes"
	"errors"
	"testing"
)

// One fuzz target for each parser. Their corpora (testdata/fuzz) hold the
// messages of RFC 9807's vectors, broken ones beside them. What a parser takes
// must encode back to the same bytes, and a genuine login must not be opened
// by any other message than its own.

// fuzzWorlds gives, for each suite, the two sides of the RFC's first vector.
func fuzzWorlds(f *testing.F) map[uint8]*fuzzWorld {
	f.Helper()
	var vectors []rfc9807Vector
	loadJSON(f, rfc9807File, &vectors)
	worlds := map[uint8]*fuzzWorld{}
	for _, v := range vectors {
		for _, s := range bothSuites {
			if v.Config.OPRF == s.String() && v.Config.Group != "curve25519" && v.Config.Fake == "False" && worlds[s.ID()] == nil {
				worlds[s.ID()] = newFuzzWorld(f, v, s)
			}
		}
	}
	if len(worlds) != len(bothSuites) {
		f.Fatalf("vectors of %d suites", len(worlds))
	}
	return worlds
}

type fuzzWorld struct {
	suite   *Suite
	server  *Server
	attempt Attempt
	login   *Login
	reg     *Registration
	ke2     []byte // the one that login opens
}

func newFuzzWorld(f *testing.F, v rfc9807Vector, s *Suite) *fuzzWorld {
	server, oprf := v.server(f, s)
	client := &Client{Suite: s, Context: unhex(f, v.Config.Context)}
	_, reg, err := client.startRegistration(v.in(f, "password"), v.in(f, "blind_registration"))
	must0(f, err)
	ke1, login, err := client.startLogin(v.in(f, "password"), v.in(f, "blind_login"), v.in(f, "client_nonce"), v.in(f, "client_keyshare_seed"))
	must0(f, err)
	record := unhex(f, v.Outputs["registration_upload"])
	return &fuzzWorld{s, server, Attempt{KE1: parsed(s, ke1), Record: record, Seed: make([]byte, seedBytes), OPRF: oprf},
		login, reg, unhex(f, v.Outputs["KE2"])}
}

// seedAll adds a vector's message of each suite to the checked-in corpus.
func seedAll(f *testing.F, worlds map[uint8]*fuzzWorld, message func(w *fuzzWorld) []byte) {
	for id, w := range worlds {
		f.Add(id-1, message(w)) // the targets read it back as id%2 + 1
	}
}

func FuzzElement(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return w.server.PublicKey })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		w := worlds[id%2+1]
		e, err := w.suite.group.decode(b)
		if errors.Is(w.suite.CheckRequest(b), ErrMessage) != (err != nil) {
			t.Fatal("CheckRequest says otherwise")
		}
		response, rerr := w.server.RegistrationResponse(b, w.attempt.OPRF)
		if err != nil {
			if !errors.Is(err, ErrMessage) || !errors.Is(rerr, ErrMessage) || response != nil {
				t.Fatal(err, rerr)
			}
			return
		}
		must0(t, rerr)
		if !bytes.Equal(e.bytes(), b) {
			t.Fatalf("%x encodes to %x", b, e.bytes())
		}
	})
}

func FuzzScalar(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return w.login.share })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		s := worlds[id%2+1].suite
		k, err := s.group.decodeScalar(b)
		if err != nil {
			if !errors.Is(err, ErrKey) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(k, b) {
			t.Fatalf("%x encodes to %x", b, []byte(k))
		}
		// k^-1 k G = G: the inverse is right, for whatever k.
		if one := s.group.base(k).multiply(s.group.invert(k)).bytes(); !bytes.Equal(one, s.group.base(scalar(scalarOne[s])).bytes()) {
			t.Fatalf("the inverse of %x is wrong", b)
		}
	})
}

func FuzzKE1(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return w.attempt.KE1.encoded })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		w := worlds[id%2+1]
		a := w.attempt
		var err error
		a.KE1, err = w.suite.ParseKE1(b)
		w.serve(t, a, err, bytes.Equal(b, w.attempt.KE1.encoded))
	})
}

func FuzzRecord(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return w.attempt.Record })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		w := worlds[id%2+1]
		a := w.attempt
		a.Record = b
		w.serve(t, a, w.suite.CheckRecord(b), bytes.Equal(b, w.attempt.Record))
	})
}

// serve answers an attempt: its form is judged as check says, and only the
// genuine one opens.
func (w *fuzzWorld) serve(t *testing.T, a Attempt, check error, genuine bool) {
	ke2, _, err := w.server.KE2(a)
	if !errors.Is(err, check) {
		t.Fatalf("the door says %v, KE2 says %v", check, err)
	}
	if err != nil {
		return
	}
	if _, _, _, err := w.login.Finish(ke2, Identity{}); (err == nil) != genuine {
		t.Fatalf("genuine %v, and the client says %v", genuine, err)
	}
}

func FuzzKE2(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return w.ke2 })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		w := worlds[id%2+1]
		_, _, _, err := w.login.Finish(b, Identity{})
		if genuine := bytes.Equal(b, w.ke2); (err == nil) != genuine {
			t.Fatalf("genuine %v: %v", genuine, err)
		}
		if err != nil && !errors.Is(err, ErrMessage) && !errors.Is(err, ErrCredentials) {
			t.Fatal(err)
		}
	})
}

func FuzzRegistrationResponse(f *testing.F) {
	worlds := fuzzWorlds(f)
	seedAll(f, worlds, func(w *fuzzWorld) []byte { return concat(w.ke2[:w.suite.elementBytes], w.server.PublicKey) })
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		w := worlds[id%2+1]
		record, _, err := w.reg.Finish(b, Identity{})
		if err == nil {
			must0(t, w.suite.CheckRecord(record))
		} else if !errors.Is(err, ErrMessage) || record != nil {
			t.Fatal(err)
		}
	})
}
