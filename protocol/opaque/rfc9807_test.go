package opaque

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// The vectors of RFC 9807 appendix C, as the working group publishes them.
const (
	rfc9807File    = "../../spec/vectors/rfc9807.json"
	rfc9807Real    = 4 // two of each suite
	rfc9807Fake    = 2 // one of each suite
	rfc9807Skipped = 3 // of the group curve25519, which is not ours
)

type rfc9807Vector struct {
	Config                         struct{ Context, Fake, Group, OPRF string }
	Inputs, Intermediates, Outputs map[string]string
}

// in gives an input, nil when the vector does not have it.
func (v rfc9807Vector) in(t testing.TB, name string) []byte { return unhex(t, v.Inputs[name]) }

// want compares with an output or intermediate value, which must exist.
func (v rfc9807Vector) want(t testing.TB, name string, got []byte) {
	t.Helper()
	want, ok := v.Outputs[name]
	if !ok {
		want, ok = v.Intermediates[name]
	}
	if !ok {
		t.Fatalf("the vector has no %s", name)
	}
	if !bytes.Equal(unhex(t, want), got) {
		t.Errorf("%s:\n got %x\nwant %s", name, got, want)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	return b
}

func loadJSON(t testing.TB, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestRFC9807(t *testing.T) {
	var vectors []rfc9807Vector
	loadJSON(t, rfc9807File, &vectors)
	suites := map[string]*Suite{"ristretto255": Ristretto255SHA512, "P256_XMD:SHA-256_SSWU_RO_": P256SHA256}
	real, fake, skipped := 0, 0, 0
	for _, v := range vectors {
		suite := suites[v.Config.Group]
		switch {
		case v.Config.Group == "curve25519":
			skipped++
		case suite == nil || suite.String() != v.Config.OPRF:
			t.Errorf("a vector of an unknown suite: %+v", v.Config)
		case v.Config.Fake == "True":
			fake++
			t.Run(suite.String()+"/fake", func(t *testing.T) { v.runFake(t, suite) })
		default:
			real++
			t.Run(suite.String()+"/real", func(t *testing.T) { v.runReal(t, suite) })
		}
	}
	if real != rfc9807Real || fake != rfc9807Fake || skipped != rfc9807Skipped {
		t.Errorf("ran %d real, %d fake, skipped %d vectors", real, fake, skipped)
	}
}

// server is the vector's server, and the multiplier of its OPRF key.
func (v rfc9807Vector) server(t testing.TB, suite *Suite) (*Server, Multiplier) {
	t.Helper()
	key, err := suite.DeriveOPRFKey(v.in(t, "oprf_seed"), v.in(t, "credential_identifier"))
	if err != nil {
		t.Fatal(err)
	}
	if v.Config.Fake != "True" {
		v.want(t, "oprf_key", key)
	}
	return &Server{Suite: suite, Context: unhex(t, v.Config.Context), Identity: v.in(t, "server_identity"),
		PublicKey: v.in(t, "server_public_key"), AKE: soft(t, suite, v.in(t, "server_private_key"))}, soft(t, suite, key)
}

func (v rfc9807Vector) draws(t *testing.T) draws {
	return draws{v.in(t, "masking_nonce"), v.in(t, "server_nonce"), v.in(t, "server_keyshare_seed")}
}

func (v rfc9807Vector) runReal(t *testing.T, suite *Suite) {
	server, oprf := v.server(t, suite)
	client := &Client{Suite: suite, Context: unhex(t, v.Config.Context),
		ClientIdentity: v.in(t, "client_identity"), ServerIdentity: v.in(t, "server_identity")}
	password := v.in(t, "password")

	request, r, err := client.startRegistration(password, v.in(t, "blind_registration"))
	must0(t, err)
	v.want(t, "registration_request", request)
	response, err := server.RegistrationResponse(request, oprf)
	must0(t, err)
	v.want(t, "registration_response", response)
	record, exportKey, err := r.finish(response, Identity{}, v.in(t, "envelope_nonce"))
	must0(t, err)
	v.want(t, "registration_upload", record)
	v.want(t, "export_key", exportKey)

	m, err := suite.parseRecord(record)
	must0(t, err)
	v.want(t, "client_public_key", m.publicKeyBytes)
	v.want(t, "masking_key", m.maskingKey)
	v.want(t, "envelope", m.envelope)

	ke1, l, err := client.startLogin(password, v.in(t, "blind_login"), v.in(t, "client_nonce"), v.in(t, "client_keyshare_seed"))
	must0(t, err)
	v.want(t, "KE1", ke1)
	ke2, expected, err := server.ke2(Attempt{KE1: parsed(suite, ke1), Record: record, ClientIdentity: v.in(t, "client_identity"), OPRF: oprf}, v.draws(t))
	must0(t, err)
	v.want(t, "KE2", ke2)
	v.want(t, "session_key", expected.SessionKey)
	v.want(t, "KE3", expected.ClientMAC)

	ke3, sessionKey, exportKey, err := l.Finish(ke2, Identity{})
	must0(t, err)
	v.want(t, "KE3", ke3)
	v.want(t, "session_key", sessionKey)
	v.want(t, "export_key", exportKey)
	must0(t, expected.Check(ke3))
}

func (v rfc9807Vector) runFake(t *testing.T, suite *Suite) {
	server, oprf := v.server(t, suite)
	record := suite.fakeRecord(v.in(t, "client_public_key"), v.in(t, "masking_key"))
	ke2, _, err := server.ke2(Attempt{KE1: parsed(suite, v.in(t, "KE1")), Record: record,
		ClientIdentity: v.in(t, "client_identity"), OPRF: oprf}, v.draws(t))
	must0(t, err)
	v.want(t, "KE2", ke2)
}
