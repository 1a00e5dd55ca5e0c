package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"reflect"
	"testing"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// sealPlain seals any bytes as a first trip: who holds a token can say what
// he likes inside the seal.
func (r *rig) sealPlain(plaintext []byte) ([]byte, *channel.Exchange) {
	r.Helper()
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.TB, err)
	sealed, exchange, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.TB, err)
	return sealed, exchange
}

// TestOddWordsInsideTheSeal: a token's holder seals messages with any byte
// changed. None of them stops the box (Fatal, panic), now or when it reads the
// log that they left, and what they registered can be asked for.
func TestOddWordsInsideTheSeal(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	taken := 0
	for i := 0; ; i += oddStride {
		account := fmt.Sprintf("account %d", i)
		g := r.prepare(account, right, "K", nil)
		plaintext, err := wire.Encode(wire.Second{Version: wire.Version, RegisterFinish: g.finish})
		must(t, err)
		if i >= len(plaintext) {
			break
		}
		plaintext[i] ^= 1 << (i % 8)
		sealed, answers, err := g.exchange.SealSecond(g.ticket, plaintext)
		must(t, err)
		_, code := r.open(r.post(sealed), answers)
		if code != "" {
			continue
		}
		taken++
		at := r.attempt(account, right)
		if _, _, code := r.recoverStart(at); code != "" {
			t.Errorf("byte %d: registered, and the start of a recovery gives %q", i, code)
		}
		r.delete(account, g.gen, "K", map[bool]wire.Code{true: "", false: wire.CodeOwner}[g.finish.Owner == ownerIn(plaintext)])
	}
	if taken < 3 {
		t.Errorf("only %d odd registrations were taken: it tries nothing", taken)
	}

	gen := r.register(alice, right, "K1")
	at := r.attempt(alice, right)
	signature := make([]byte, ed25519.SignatureSize)
	for name, f := range map[string]wire.First{
		"start":    {RecoverStart: &wire.RecoverStart{Generation: gen, Slot: at.slot, KE1: at.ke1}},
		"register": {RegisterStart: &wire.RegisterStart{Request: at.ke1[:33]}},
		"delete":   {Delete: &wire.Delete{Generation: gen, Signature: signature}},
		"status":   {Status: &wire.StatusRequest{}},
	} {
		f.Version, f.Token = wire.Version, r.vaultToken(alice)
		plaintext, err := wire.Encode(f)
		must(t, err)
		for i := 0; i < len(plaintext); i += oddStride {
			odd := bytes.Clone(plaintext)
			odd[i] ^= 1 << (i % 8)
			sealed, exchange := r.sealPlain(odd)
			if a, _ := r.open(r.post(sealed), exchange); a == nil {
				t.Fatalf("%s, byte %d: no sealed answer", name, i)
			}
		}
	}
	for n := range 64 {
		sealed, exchange := r.sealPlain(append([]byte{0xa3, 1, 1, 2, 0x61, 'x'}, randomBytes(n)...))
		if a, _ := r.open(r.post(sealed), exchange); a == nil || a.Refused == "" {
			t.Fatalf("random words: %+v", a)
		}
	}
	before := *r.status(alice)
	must(t, r.start()) // the log that all of this left is read again
	if after := *r.status(alice); !reflect.DeepEqual(after, before) {
		t.Errorf("after a restart %+v, before it %+v", after, before)
	}
}

// ownerIn is the owner key of the changed message.
func ownerIn(plaintext []byte) [wire.OwnerKeyBytes]byte {
	s, err := wire.DecodeSecond(plaintext)
	if err != nil || s.RegisterFinish == nil {
		return [wire.OwnerKeyBytes]byte{}
	}
	return s.RegisterFinish.Owner
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
