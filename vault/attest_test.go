package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"testing"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

func (r *rig) signed(a *wire.Answer, account string) bool {
	r.Helper()
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), r.fleet.Status)
	statement, err := a.Status.Statement(r.fleet.ID, account, a.Attestation.AtMillis)
	must(r.TB, err)
	digest := sha256.Sum256(statement)
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	s := a.Attestation.Signature
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
}

// A status is signed where it is asked for, and what is signed is what is
// told: of this account, at this time.
func TestSignedStatus(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	r.recover(alice, "wrong password")
	ask := func(sign bool) *wire.Answer {
		a, _, code := r.first(wire.First{Token: r.vaultToken(alice), Status: &wire.StatusRequest{Sign: sign}})
		if code != "" {
			t.Fatalf("%q", code)
		}
		return a
	}
	if a := ask(false); a.Attestation != nil {
		t.Fatal("signed without being asked")
	}
	a := ask(true)
	if a.Attestation == nil || a.Attestation.AtMillis != r.now || !r.signed(a, alice) || len(a.Status.History) != 2 {
		t.Fatalf("%+v, %+v", a.Status, a.Attestation)
	}
	if r.signed(a, "somebody else") {
		t.Error("the signature is good for another account")
	}
	a.Status.Left++
	if r.signed(a, alice) {
		t.Error("the signature is good for another report")
	}
	must(t, r.start())
	if a := ask(true); !r.signed(a, alice) {
		t.Error("after a restart")
	}
}

// A fleet of First light has no key for it: the status comes unsigned.
func TestUnsignedStatus(t *testing.T) {
	r, _ := openFirstLight(t)
	a, _, code := r.first(wire.First{Token: r.vaultToken("anna"), Status: &wire.StatusRequest{Sign: true}})
	if code != "" || a.Attestation != nil || a.Status == nil {
		t.Fatalf("%q %+v", code, a)
	}
	if h := a.Status.History; len(h) == 0 || h[0].FirstMillis != 0 || h[0].Kind != wire.EventRegistered {
		t.Fatalf("the history of a log without times: %+v", h)
	}
}
