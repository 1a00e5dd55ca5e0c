package serve

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"testing"

	"strongroom/protocol/bundle"
)

func pemOf(t testing.TB, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func TestParseIssuers(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q},{"kty":"EC","crv":"P-256","kid":"b","x":%q,"y":%q}]}`,
		b64(ed), b64(raw[1:33]), b64(raw[33:]))
	for what, b := range map[string][]byte{"PEM": append(pemOf(t, ed), pemOf(t, &ec.PublicKey)...), "JWK": []byte(set)} {
		got, err := parseIssuers(b)
		if err != nil || len(got) != 2 || got[0].Alg != bundle.EdDSA || string(got[0].Key) != string(ed) ||
			got[1].Alg != bundle.ES256 || string(got[1].Key) != string(raw) || got[0].ID == "" || got[1].ID == "" {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"empty": nil, "empty set": []byte(`{"keys":[]}`), "P-384": pemOf(t, &other.PublicKey),
		"private":               []byte(fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":%q,"d":"AA"}]}`, b64(ed))),
		"off curve":             []byte(fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`, b64(raw[33:]), b64(raw[33:]))),
		"RSA":                   []byte(`{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"}]}`),
		"PEM of what is no key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}}),
	} {
		if got, err := parseIssuers(b); err == nil {
			t.Errorf("%s was taken: %+v", what, got)
		}
	}
}

func FuzzParseIssuers(f *testing.F) {
	ed := ed25519.NewKeyFromSeed(make([]byte, 32)).Public()
	f.Add(pemOf(f, ed))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		issuers, err := parseIssuers(b)
		if err != nil {
			return
		}
		for _, i := range issuers {
			if length := map[string]int{bundle.EdDSA: 32, bundle.ES256: 65}[i.Alg]; length == 0 || len(i.Key) != length {
				t.Fatalf("%+v", i)
			}
		}
	})
}
