package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"strongroom/protocol/bundle"
)

const now = 1_700_000_000

// world is two issuers, one of each kind.
type world struct {
	ed      ed25519.PrivateKey
	ec      *ecdsa.PrivateKey
	issuers []bundle.Issuer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	pub, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{ed: ed, ec: ec}
	for id, public := range map[string]crypto.PublicKey{"ed": pub, "ec": &ec.PublicKey} {
		i, err := IssuerOf(id, public)
		if err != nil {
			t.Fatal(err)
		}
		w.issuers = append(w.issuers, i)
	}
	return w
}

func claims() Claims {
	return Claims{Account: "alice", Audience: AudienceRelay, IssuedUnix: now, ExpiresUnix: now + 3600, ID: "1"}
}

func TestIssueAndCheck(t *testing.T) {
	w := newWorld(t)
	for id, key := range map[string]crypto.Signer{"ed": w.ed, "ec": w.ec} {
		jws, err := Issue(claims(), id, key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := Check(jws, w.issuers, AudienceRelay, now); err != nil || c != claims() {
			t.Errorf("%s: %+v, %v", id, c, err)
		}
		if _, err := Check(jws, nil, AudienceRelay, now); !errors.Is(err, ErrIssuer) || !errors.Is(err, ErrRefused) {
			t.Errorf("%s, no issuers: %v", id, err)
		}
		if _, err := Check(jws, w.issuers, "vault", now); !errors.Is(err, ErrAudience) {
			t.Errorf("%s, another audience: %v", id, err)
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Issue(claims(), "rsa", other); err == nil {
		t.Error("an RSA key issues")
	}
}

func part(v any) string {
	b, ok := v.(string)
	if !ok {
		raw, _ := json.Marshal(v)
		b = string(raw)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(b))
}

// forge signs whatever header and payload with the Ed25519 issuer's key, with
// no library between.
func (w *world) forge(header, payload any) string {
	s := part(header) + "." + part(payload)
	return s + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(w.ed, []byte(s)))
}

type m = map[string]any

func payload(change m) m {
	p := m{"sub": "alice", "aud": AudienceRelay, "iat": now, "exp": now + 3600}
	for k, v := range change {
		if p[k] = v; v == nil {
			delete(p, k)
		}
	}
	return p
}

func TestClaims(t *testing.T) {
	w := newWorld(t)
	good := m{"alg": "EdDSA", "kid": "ed"}
	for name, c := range map[string]struct {
		change m
		want   error
	}{
		"good":                      {nil, nil},
		"one audience in a list":    {m{"aud": []string{AudienceRelay}}, nil},
		"two audiences":             {m{"aud": []string{AudienceRelay, "vault"}}, ErrAudience},
		"twice the same audience":   {m{"aud": []string{AudienceRelay, AudienceRelay}}, ErrAudience},
		"an empty list of them":     {m{"aud": []string{}}, ErrAudience},
		"no audience":               {m{"aud": nil}, ErrAudience},
		"the vault's audience":      {m{"aud": "00112233445566778899aabbccddeeff"}, ErrAudience},
		"audience in capitals":      {m{"aud": "RELAY"}, ErrAudience},
		"audience is a number":      {m{"aud": 7}, ErrForm},
		"no account":                {m{"sub": nil}, ErrNoAccount},
		"an empty account":          {m{"sub": ""}, ErrNoAccount},
		"the longest account":       {m{"sub": strings.Repeat("a", 128)}, nil},
		"an account too long":       {m{"sub": strings.Repeat("a", 129)}, ErrNoAccount},
		"account is a number":       {m{"sub": 7}, ErrForm},
		"no expiry":                 {m{"exp": nil}, ErrForm},
		"no issuing time":           {m{"iat": nil}, ErrForm},
		"expiry is text":            {m{"exp": "tomorrow"}, ErrForm},
		"expired within the skew":   {m{"iat": now - 3600, "exp": now - skewSeconds}, nil},
		"expired":                   {m{"iat": now - 3600, "exp": now - skewSeconds - 1}, ErrExpired},
		"issued within the skew":    {m{"iat": now + skewSeconds}, nil},
		"issued in the future":      {m{"iat": now + skewSeconds + 1}, ErrNotYet},
		"not before, in the future": {m{"nbf": now + skewSeconds + 1}, ErrNotYet},
		"not before, past":          {m{"nbf": now}, nil},
		"the longest lifetime":      {m{"exp": now + lifetimeSeconds}, nil},
		"a longer lifetime":         {m{"exp": now + lifetimeSeconds + 1}, ErrLifetime},
		"a lifetime past all times": {m{"iat": -9e15, "exp": 9e15}, ErrForm},
		"an expiry past all times":  {m{"exp": 1e300}, errAny},
		"an issue before all times": {m{"iat": -1e300}, errAny},
	} {
		_, err := Check(w.forge(good, payload(c.change)), w.issuers, AudienceRelay, now)
		if c.want == errAny && errors.Is(err, ErrRefused) {
			continue
		}
		if !errors.Is(err, c.want) || (err != nil) != errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

var errAny = errors.New("refused, whatever the name")

// Attacks on the header: the algorithm is the issuer's, never the token's.
func TestHeaders(t *testing.T) {
	w := newWorld(t)
	pub := []byte(w.ed.Public().(ed25519.PublicKey))
	mac := func(key []byte) string {
		s := part(m{"alg": "HS256", "kid": "ed"}) + "." + part(payload(nil))
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return s + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	good := w.forge(m{"alg": "EdDSA", "kid": "ed"}, payload(nil))
	cut := strings.Split(good, ".")
	for name, c := range map[string]struct {
		jws  string
		want error
	}{
		"alg none, unsigned":            {part(m{"alg": "none", "kid": "ed"}) + "." + part(payload(nil)) + ".", ErrIssuer},
		"alg None":                      {part(m{"alg": "None", "kid": "ed"}) + "." + part(payload(nil)) + ".", errAny},
		"alg none, signed":              {w.forge(m{"alg": "none", "kid": "ed"}, payload(nil)), ErrIssuer},
		"no alg":                        {w.forge(m{"kid": "ed"}, payload(nil)), errAny},
		"alg is a number":               {w.forge(m{"alg": 1, "kid": "ed"}, payload(nil)), errAny},
		"HS256 by the public key":       {mac(pub), ErrIssuer},
		"HS256 by nothing":              {mac(nil), ErrIssuer},
		"RS256":                         {w.forge(m{"alg": "RS256", "kid": "ed"}, payload(nil)), ErrIssuer},
		"ES384":                         {w.forge(m{"alg": "ES384", "kid": "ec"}, payload(nil)), ErrIssuer},
		"ES256 named, EdDSA signed":     {w.forge(m{"alg": "ES256", "kid": "ed"}, payload(nil)), ErrIssuer},
		"the other issuer's id":         {w.forge(m{"alg": "EdDSA", "kid": "ec"}, payload(nil)), ErrIssuer},
		"the other's id and alg":        {w.forge(m{"alg": "ES256", "kid": "ec"}, payload(nil)), ErrIssuer},
		"an unknown id":                 {w.forge(m{"alg": "EdDSA", "kid": "x"}, payload(nil)), ErrIssuer},
		"no id":                         {w.forge(m{"alg": "EdDSA"}, payload(nil)), ErrIssuer},
		"id is a list":                  {w.forge(m{"alg": "EdDSA", "kid": []string{"ed"}}, payload(nil)), ErrIssuer},
		"its own key in the header":     {newWorld(t).forge(m{"alg": "EdDSA", "kid": "ed", "jwk": m{"kty": "OKP", "crv": "Ed25519", "x": part(string(pub))}}, payload(nil)), ErrIssuer},
		"a key's address in the header": {newWorld(t).forge(m{"alg": "EdDSA", "kid": "ed", "jku": "https://example.org/"}, payload(nil)), ErrIssuer},
		"a line break within":           {cut[0] + "." + cut[1][:5] + "\n" + cut[1][5:] + "." + cut[2], ErrForm},
		"critical extension":            {w.forge(m{"alg": "EdDSA", "kid": "ed", "crit": []string{"b64"}, "b64": false}, payload(nil)), errAny},
		"empty":                         {"", ErrForm},
		"two parts":                     {cut[0] + "." + cut[1], ErrForm},
		"four parts":                    {good + ".AAAA", ErrForm},
		"no signature":                  {cut[0] + "." + cut[1] + ".", ErrIssuer},
		"another payload":               {cut[0] + "." + part(payload(m{"sub": "bob"})) + "." + cut[2], ErrIssuer},
		"padded":                        {good + "=", errAny},
		"a line break":                  {good + "\n", errAny},
		"a space before":                {" " + good, errAny},
		"payload is a list":             {w.forge(m{"alg": "EdDSA", "kid": "ed"}, "[]"), ErrForm},
		"payload is null":               {w.forge(m{"alg": "EdDSA", "kid": "ed"}, "null"), errAny},
		"too long":                      {good + strings.Repeat("A", 4096), ErrForm},
	} {
		_, err := Check(c.jws, w.issuers, AudienceRelay, now)
		if !errors.Is(err, ErrRefused) || c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Every byte of a token exchanged for another: none opens.
func TestEveryByte(t *testing.T) {
	w := newWorld(t)
	jws := w.forge(m{"alg": "EdDSA", "kid": "ed"}, payload(nil))
	for i := range jws {
		for _, to := range []byte{'A', 'B', '.', '-', 0, 0xff} {
			if bad := jws[:i] + string([]byte{to}) + jws[i+1:]; bad != jws {
				if _, err := Check(bad, w.issuers, AudienceRelay, now); !errors.Is(err, ErrRefused) {
					t.Fatalf("byte %d as %q: %v", i, to, err)
				}
			}
		}
		if _, err := Check(jws[:i], w.issuers, AudienceRelay, now); !errors.Is(err, ErrRefused) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	w := newWorld(f)
	good := w.forge(m{"alg": "EdDSA", "kid": "ed"}, payload(nil))
	f.Add(good)
	f.Add(part(m{"alg": "none"}) + "." + part(payload(nil)) + ".")
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, jws string) {
		if _, err := Check(jws, w.issuers, AudienceRelay, now); err == nil && jws != good {
			t.Fatalf("%q is taken", jws)
		}
	})
}
