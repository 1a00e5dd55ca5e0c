package vault_test

import (
	"bytes"
	"reflect"
	"testing"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/soak"
)

func (r *rig) sealFirst(f wire.First) ([]byte, *channel.Exchange) {
	r.Helper()
	f.Version = wire.Version
	plaintext, err := wire.Encode(f)
	must(r.TB, err)
	key, err := channel.ParsePublicKey(r.fleet.KEM, r.fleet.Channel)
	must(r.TB, err)
	sealed, exchange, err := channel.SealFirst(key, r.fleet.ID, plaintext)
	must(r.TB, err)
	return sealed, exchange
}

func (r *rig) sealSecond(e *channel.Exchange, ticket []byte, s wire.Second) ([]byte, *channel.Exchange) {
	r.Helper()
	s.Version = wire.Version
	plaintext, err := wire.Encode(s)
	must(r.TB, err)
	sealed, answers, err := e.SealSecond(ticket, plaintext)
	must(r.TB, err)
	return sealed, answers
}

// TestEveryFlippedOrCutByte: a sealed request that was changed anywhere, or
// cut anywhere, is refused in clear and leaves everything as it was; so is an
// answer, by the client.
func TestEveryFlippedOrCutByte(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	r.register(alice, right, "K1")
	at := r.attempt(alice, right)
	a, exchange, _ := r.recoverStart(at)
	ke3, _, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
	must(t, err)
	next := r.attempt(alice, right)
	registration := r.prepare("carol@example", right, "K2", nil)

	start, startAnswers := r.sealFirst(wire.First{Token: r.vaultToken(alice), RecoverStart: &wire.RecoverStart{
		Generation: next.gen, Slot: next.slot, KE1: next.ke1,
	}})
	finish, finishAnswers := r.sealSecond(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	register, registerAnswers := r.sealSecond(registration.exchange, registration.ticket, wire.Second{RegisterFinish: registration.finish})

	before := *r.status(alice)
	evaluations, entries := r.hal.Evaluations(), len(r.Written)
	unchanged := func(what string, i int) {
		t.Helper()
		if r.hal.Evaluations() != evaluations || len(r.Written) != entries {
			t.Fatalf("%s, byte %d: state changed", what, i)
		}
	}
	// One bit of each byte everyday, of a first trip's every third; every bit
	// of every byte in a soak.
	bits, tried, least := soak.Size(1, 8), 0, 0
	for _, c := range []struct {
		name    string
		sealed  []byte
		stride  int
		answers *channel.Exchange
	}{{"start", start, soak.Size(firstFlipStride, 1), startAnswers}, {"finish", finish, 1, finishAnswers}, {"register", register, 1, registerAnswers}} {
		for i := 0; i < len(c.sealed); i += c.stride {
			for bit := range bits {
				flipped := bytes.Clone(c.sealed)
				flipped[i] ^= 1 << ((i + bit) % 8)
				if reply := r.post(flipped); reply.Refused == "" {
					t.Fatalf("%s with byte %d flipped: taken", c.name, i)
				}
				unchanged(c.name, i)
				tried++
			}
		}
		least += bits*(len(c.sealed)/c.stride) + len(c.sealed)
		for cut := range c.sealed {
			tried++
			if reply := r.post(c.sealed[:cut]); reply.Refused == "" {
				t.Fatalf("%s cut to %d bytes: taken", c.name, cut)
			}
			unchanged(c.name, cut)
		}
	}
	if after := *r.status(alice); !reflect.DeepEqual(after, before) {
		t.Fatalf("%+v became %+v", before, after)
	}
	// Whole, each of them is taken: the loops above tried the real thing.
	for name, c := range map[string]struct {
		sealed  []byte
		answers *channel.Exchange
	}{"finish": {finish, finishAnswers}, "register": {register, registerAnswers}, "start": {start, startAnswers}} {
		reply := r.post(c.sealed)
		if _, code := r.open(reply, c.answers); code != "" {
			t.Fatalf("%s, whole: %q", name, code)
		}
		least += len(reply.Sealed) * (bits + 1)
		for i := range reply.Sealed {
			for bit := range bits {
				flipped := bytes.Clone(reply.Sealed)
				flipped[i] ^= 1 << ((i + bit) % 8)
				if _, err := c.answers.OpenAnswer(flipped); err == nil {
					t.Fatalf("the answer to %s with byte %d flipped opens", name, i)
				}
				tried++
			}
			tried++
			if _, err := c.answers.OpenAnswer(reply.Sealed[:i]); err == nil {
				t.Fatalf("the answer to %s cut to %d bytes opens", name, i)
			}
		}
	}
	soak.Tried(t, "P8", "messages of both trips with a bit flipped or cut, and their answers", tried, least)
}
