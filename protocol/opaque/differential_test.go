package opaque

import (
	"bytes"
	"crypto"
	"errors"
	"testing"

	"github.com/bytemare/ksf"
	theirs "github.com/bytemare/opaque"
)

// Against bytemare/opaque, an implementation by an author of the RFC: our
// client on its server, and its client on our server.

const differentialRounds = 8 // of each suite, stretching and direction

// setting is one configuration that both implementations are put into.
type setting struct {
	suite    *Suite
	group    theirs.Group
	hash     crypto.Hash
	stretch  Stretcher
	named    bool // identities are set
	context  []byte
	password []byte
}

func settings() (all []setting) {
	for _, stretch := range []Stretcher{Identity{}, cheap} {
		for _, named := range []bool{false, true} {
			for _, context := range [][]byte{nil, testContext} {
				all = append(all,
					setting{P256SHA256, theirs.P256Sha256, crypto.SHA256, stretch, named, context, password},
					setting{Ristretto255SHA512, theirs.RistrettoSha512, crypto.SHA512, stretch, named, context, password})
			}
		}
	}
	return all
}

func (s setting) ids() (client, server []byte) {
	if !s.named {
		return nil, nil
	}
	return account, fleet
}

func (s setting) config() *theirs.Configuration {
	c := &theirs.Configuration{Context: s.context, KDF: s.hash, MAC: s.hash, Hash: s.hash, OPRF: s.group, AKE: s.group}
	if s.stretch != (Identity{}) {
		c.KSF = ksf.Argon2id
	}
	return c
}

// options are the RFC's parameters of Argon2id; the library's own defaults
// (no salt, 32 bytes) are not (design/5-habits.md).
func (s setting) options() *theirs.ClientOptions {
	a, ok := s.stretch.(Argon2id)
	if !ok {
		return &theirs.ClientOptions{}
	}
	return &theirs.ClientOptions{KSFSalt: make([]byte, 16), KSFLength: s.hash.Size(),
		KSFParameters: []uint64{uint64(a.Time), uint64(a.MemoryKiB), uint64(a.Threads)}}
}

func TestOurClientOnTheirServer(t *testing.T) {
	ran := 0
	for _, s := range settings() {
		for range differentialRounds {
			ourClientTheirServer(t, s)
			ran++
		}
	}
	if want := 16 * differentialRounds; ran != want {
		t.Errorf("ran %d of %d", ran, want)
	}
}

func ourClientTheirServer(t *testing.T, s setting) {
	clientID, serverID := s.ids()
	conf := s.config()
	server, err := conf.Server()
	must0(t, err)
	secret, public := conf.KeyGen()
	must0(t, server.SetKeyMaterial(&theirs.ServerKeyMaterial{Identity: serverID, PrivateKey: secret,
		PublicKeyBytes: public.Encode(), OPRFGlobalSeed: conf.GenerateOPRFSeed()}))
	client := &Client{Suite: s.suite, Context: s.context, ClientIdentity: clientID, ServerIdentity: serverID, ServerPublicKey: public.Encode()}

	request, r, err := client.StartRegistration(s.password)
	must0(t, err)
	theirRequest, err := server.Deserialize.RegistrationRequest(request)
	must0(t, err)
	response, err := server.RegistrationResponse(theirRequest, account, nil)
	must0(t, err)
	record, exportKey, err := r.Finish(response.Serialize(), s.stretch)
	must0(t, err)
	theirRecord, err := server.Deserialize.RegistrationRecord(record)
	must0(t, err)
	kept := &theirs.ClientRecord{RegistrationRecord: theirRecord, CredentialIdentifier: account, ClientIdentity: clientID}

	serve := func(b []byte) ([]byte, *theirs.ServerOutput) {
		ke1, err := server.Deserialize.KE1(b)
		must0(t, err)
		ke2, output, err := server.GenerateKE2(ke1, kept)
		must0(t, err)
		return ke2.Serialize(), output
	}
	take := func(b []byte, output *theirs.ServerOutput) {
		ke3, err := server.Deserialize.KE3(b)
		must0(t, err)
		must0(t, server.LoginFinish(ke3, output.ClientMAC))
	}
	ke1, l, err := client.StartLogin(s.password)
	must0(t, err)
	ke2, output := serve(ke1)
	ke3, sessionKey, again, err := l.Finish(ke2, s.stretch)
	must0(t, err)
	take(ke3, output)
	agree(t, sessionKey, output.SessionSecret, exportKey, again)

	ke1, l, err = client.StartLogin([]byte("wrong"))
	must0(t, err)
	ke2, _ = serve(ke1)
	if _, _, _, err := l.Finish(ke2, s.stretch); !errors.Is(err, ErrCredentials) {
		t.Errorf("wrong password: %v", err)
	}

	// Their client opens what ours registered: the stretching is the same.
	ke1, finish := s.theirLogin(t, s.password)
	ke2, output = serve(ke1)
	ke3, sessionKey, again, err = finish(ke2)
	must0(t, err)
	take(ke3, output)
	agree(t, sessionKey, output.SessionSecret, exportKey, again)
}

// theirLogin is a login of their client.
func (s setting) theirLogin(t *testing.T, password []byte) (ke1 []byte, finish func(ke2 []byte) (ke3, sessionKey, exportKey []byte, err error)) {
	clientID, serverID := s.ids()
	client, err := s.config().Client()
	must0(t, err)
	m, err := client.GenerateKE1(password)
	must0(t, err)
	return m.Serialize(), func(b []byte) (_, sessionKey, exportKey []byte, err error) {
		ke2, err := client.Deserialize.KE2(b)
		must0(t, err)
		ke3, sessionKey, exportKey, err := client.GenerateKE3(ke2, clientID, serverID, s.options())
		if err != nil {
			return nil, nil, nil, err
		}
		return ke3.Serialize(), sessionKey, exportKey, nil
	}
}

func TestTheirClientOnOurServer(t *testing.T) {
	ran := 0
	for _, s := range settings() {
		for range differentialRounds {
			theirClientOurServer(t, s)
			ran++
		}
	}
	if want := 16 * differentialRounds; ran != want {
		t.Errorf("ran %d of %d", ran, want)
	}
}

func theirClientOurServer(t *testing.T, s setting) {
	clientID, serverID := s.ids()
	w := newWorld(t, s.suite, Identity{}) // for its server's keys
	server := *w.server
	server.Context, server.Identity = s.context, serverID
	conf := s.config()

	client, err := conf.Client()
	must0(t, err)
	request, err := client.RegistrationInit(s.password)
	must0(t, err)
	b, err := server.RegistrationResponse(request.Serialize(), w.oprf)
	must0(t, err)
	response, err := client.Deserialize.RegistrationResponse(b)
	must0(t, err)
	record, exportKey, err := client.RegistrationFinalize(response, clientID, serverID, s.options())
	must0(t, err)

	serve := func(ke1 []byte) ([]byte, Expected) {
		ke2, expected, err := server.KE2(Attempt{KE1: parsed(server.Suite, ke1), Record: record.Serialize(), ClientIdentity: clientID,
			Seed: make([]byte, seedBytes), OPRF: w.oprf})
		must0(t, err)
		return ke2, expected
	}
	ke1, finish := s.theirLogin(t, s.password)
	ke2, expected := serve(ke1)
	ke3, sessionKey, again, err := finish(ke2)
	must0(t, err)
	must0(t, expected.Check(ke3))
	agree(t, sessionKey, expected.SessionKey, exportKey, again)

	ke1, finish = s.theirLogin(t, []byte("wrong"))
	ke2, _ = serve(ke1)
	if _, _, _, err := finish(ke2); err == nil {
		t.Error("their client took a wrong password")
	}

	// Our client opens what theirs registered.
	ours := &Client{Suite: s.suite, Context: s.context, ClientIdentity: clientID, ServerIdentity: serverID}
	ke1, l, err := ours.StartLogin(s.password)
	must0(t, err)
	ke2, expected = serve(ke1)
	ke3, sessionKey, again, err = l.Finish(ke2, s.stretch)
	must0(t, err)
	must0(t, expected.Check(ke3))
	agree(t, sessionKey, expected.SessionKey, exportKey, again)
}

func agree(t *testing.T, sessionKey, theirSessionKey, exportKey, again []byte) {
	t.Helper()
	if len(sessionKey) == 0 || !bytes.Equal(sessionKey, theirSessionKey) {
		t.Error("session keys differ")
	}
	if len(exportKey) == 0 || !bytes.Equal(exportKey, again) {
		t.Error("export keys differ")
	}
}
