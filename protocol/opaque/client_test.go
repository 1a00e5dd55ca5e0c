package opaque

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
)

// Whatever was set at registration must be the same at login.
func TestBindings(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		for what, change := range map[string]func(c *Client, sv *Server, a *Attempt){
			"client's identity, at the client": func(c *Client, _ *Server, _ *Attempt) { c.ClientIdentity = []byte("eve") },
			"client's identity, at the server": func(_ *Client, _ *Server, a *Attempt) { a.ClientIdentity = []byte("eve") },
			"client's identity, at both":       func(c *Client, _ *Server, a *Attempt) { c.ClientIdentity, a.ClientIdentity = nil, nil },
			"server's identity, at the client": func(c *Client, _ *Server, _ *Attempt) { c.ServerIdentity = []byte("x") },
			"server's identity, at the server": func(_ *Client, sv *Server, _ *Attempt) { sv.Identity = nil },
			"server's identity, at both":       func(c *Client, sv *Server, _ *Attempt) { c.ServerIdentity, sv.Identity = nil, nil },
			"context, at the client":           func(c *Client, _ *Server, _ *Attempt) { c.Context = nil },
			"context, at the server":           func(_ *Client, sv *Server, _ *Attempt) { sv.Context = []byte("strongroom/v2") },
			"server's public key":              func(c *Client, sv *Server, _ *Attempt) { sv.PublicKey = newWorld(t, s, Identity{}).server.PublicKey },
			"server's private key":             func(_ *Client, sv *Server, _ *Attempt) { sv.AKE = newWorld(t, s, Identity{}).server.AKE },
			"OPRF key":                         func(_ *Client, _ *Server, a *Attempt) { a.OPRF = newWorld(t, s, Identity{}).oprf },
			"nothing":                          func(*Client, *Server, *Attempt) {},
		} {
			w := newWorld(t, s, Identity{})
			var a Attempt
			change(w.client, w.server, &a)
			ke1, l, err := w.client.StartLogin(password)
			must0(t, err)
			a = w.attempt(ke1)
			change(w.client, w.server, &a)
			ke2, _, err := w.server.KE2(a)
			must0(t, err)
			_, _, _, err = l.Finish(ke2, Identity{})
			if what == "nothing" {
				must0(t, err)
			} else if !errors.Is(err, ErrCredentials) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// The stretching is bound in: another one does not open the envelope.
func TestStretchIsBound(t *testing.T) {
	w := newWorld(t, P256SHA256, cheap)
	for _, other := range []Stretcher{Identity{}, Argon2id{2, 64, 1}, Argon2id{1, 72, 1}, Argon2id{1, 64, 2}} {
		l, _, ke2, _ := w.login(t, password)
		if _, _, _, err := l.Finish(ke2, other); !errors.Is(err, ErrCredentials) {
			t.Errorf("%+v: %v", other, err)
		}
	}
}

func TestAnotherServersKeyIsRefused(t *testing.T) {
	w := newWorld(t, P256SHA256, Identity{})
	request, r, err := w.client.StartRegistration(password)
	must0(t, err)
	w.server.PublicKey = newWorld(t, P256SHA256, Identity{}).server.PublicKey
	response, err := w.server.RegistrationResponse(request, w.oprf)
	must0(t, err)
	if record, _, err := r.Finish(response, Identity{}); !errors.Is(err, ErrMessage) || record != nil {
		t.Errorf("registered: %v", err)
	}
}

func TestClientInputs(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		longest := bytes.Repeat([]byte{'a'}, fieldBytesMax)
		long := append(longest, 'a')
		for what, c := range map[string]struct {
			client   Client
			password []byte
			want     error
		}{
			"longest password": {Client{Suite: s}, longest, nil},
			"long password":    {Client{Suite: s}, long, ErrInput},
			"long context":     {Client{Suite: s, Context: long}, password, ErrInput},
			"long client":      {Client{Suite: s, ClientIdentity: long}, password, ErrInput},
			"long server":      {Client{Suite: s, ServerIdentity: long}, password, ErrInput},
			"no random bits":   {Client{Suite: s, Rand: iotest.ErrReader(errGone)}, password, errGone},
			"random zeros":     {Client{Suite: s, Rand: zeros{}}, password, ErrKey},
		} {
			_, _, err1 := c.client.StartRegistration(c.password)
			_, _, err2 := c.client.StartLogin(c.password)
			if !errors.Is(err1, c.want) || !errors.Is(err2, c.want) {
				t.Errorf("%s: %v, %v", what, err1, err2)
			}
		}
	})
}

// zeros is a random source that broke.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An envelope can vouch for a server's key that is none, if whoever made it
// wanted so; the client does not multiply with it.
func TestEnvelopeOfABadKey(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		bad := make([]byte, s.elementBytes)
		_, r, err := w.client.StartRegistration(password)
		must0(t, err)
		evaluated, err := w.oprf.Multiply(r.request)
		must0(t, err)
		e, err := s.group.decode(evaluated)
		must0(t, err)
		key := s.passwordKey(s.finalize(password, r.blind, e), Identity{})
		nonce := make([]byte, nonceBytes)
		o, err := s.open(key, nonce, bad, w.client.identities())
		must0(t, err)
		w.record, w.server.PublicKey = concat(o.public, s.maskingKey(key), nonce, o.tag), bad
		l, _, ke2, _ := w.login(t, password)
		if _, _, _, err := l.Finish(ke2, Identity{}); !errors.Is(err, ErrCredentials) {
			t.Errorf("a bad key: %v", err)
		}
	})
}

// Nothing that must be drawn anew is drawn twice.
func TestFreshness(t *testing.T) {
	eachSuite(t, func(t *testing.T, s *Suite) {
		w := newWorld(t, s, Identity{})
		seen := map[string]bool{}
		fresh := func(what string, b []byte) {
			t.Helper()
			if seen[string(b)] {
				t.Errorf("%s is not new", what)
			}
			seen[string(b)] = true
		}
		n := s.elementBytes
		for range 4 {
			ke1, _, err := w.client.StartLogin(password)
			must0(t, err)
			fresh("blinded element", ke1[:n])
			fresh("client nonce", ke1[n:n+nonceBytes])
			fresh("client key share", ke1[n+nonceBytes:])
			request, r, err := w.client.StartRegistration(password)
			must0(t, err)
			fresh("request", request)
			response, err := w.server.RegistrationResponse(request, w.oprf)
			must0(t, err)
			record, exportKey, err := r.Finish(response, Identity{})
			must0(t, err)
			fresh("envelope nonce", record[n+s.hashBytes:][:nonceBytes])
			fresh("client public key", record[:n])
			fresh("export key", exportKey)
			private, public, err := s.GenerateKey(w.client.rand())
			must0(t, err)
			fresh("private key", private)
			fresh("public key", public)
		}
	})
}

// A server's answer names the parameters; none of them makes a client panic.
func TestArgon2idTakesAnything(t *testing.T) {
	for _, a := range []Argon2id{{}, {Time: 1}, {Threads: 1}, {MemoryKiB: 1, Threads: 255}} {
		if got := a.Stretch([]byte("output"), 32); len(got) != 32 {
			t.Errorf("%+v: %d bytes", a, len(got))
		}
	}
}
