package vault_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"strongroom/protocol/channel"
	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
	"strongroom/test/soak"
)

// carried is one request that the network has seen, with its answer.
type carried struct {
	name   string
	sealed []byte
	answer []byte
	by     *channel.Exchange
}

// carry sends a request as the network would and keeps what passed.
func (r *rig) carry(name string, sealed []byte, by *channel.Exchange) (carried, *wire.Answer) {
	r.Helper()
	reply := r.post(sealed)
	a, code := r.open(reply, by)
	if a == nil || code != "" {
		r.Fatalf("%s: %q", name, code)
	}
	return carried{name, sealed, reply.Sealed, by}, a
}

// conversations are those of several accounts, all messages of both trips.
func (r *rig) conversations(accounts int) (all []carried) {
	r.Helper()
	for i := range accounts {
		account := fmt.Sprintf("%d@example", i)
		first := func(name string, f wire.First) (*channel.Exchange, *wire.Answer) {
			f.Token = r.vaultToken(account)
			sealed, by := r.sealFirst(f)
			c, a := r.carry(account+" "+name, sealed, by)
			all = append(all, c)
			return by, a
		}
		second := func(name string, by *channel.Exchange, ticket []byte, m wire.Second) {
			sealed, answers := r.sealSecond(by, ticket, m)
			c, _ := r.carry(account+" "+name, sealed, answers)
			all = append(all, c)
		}
		request, state, err := r.client(account).StartRegistration([]byte(right))
		must(r.TB, err)
		by, a := first("RegisterStart", wire.First{RegisterStart: &wire.RegisterStart{Request: request}})
		record, _, err := state.Finish(a.RegisterStart.Response, argon())
		must(r.TB, err)
		f := &wire.RegisterFinish{Transcript: a.RegisterStart.Transcript(request), Record: record, SealedKey: []byte("sealed"), Stretch: stretch}
		second("RegisterFinish", by, a.RegisterStart.Ticket, wire.Second{RegisterFinish: f})
		first("Status", wire.First{Status: &wire.StatusRequest{}})
		ke1, login, err := r.client(account).StartLogin([]byte(right))
		must(r.TB, err)
		by, a = first("RecoverStart", wire.First{RecoverStart: &wire.RecoverStart{Generation: a.RegisterStart.Generation, Slot: 1, KE1: ke1}})
		ke3, _, _, err := login.Finish(a.RecoverStart.KE2, argon())
		must(r.TB, err)
		second("RecoverFinish", by, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}})
	}
	return all
}

// enc is the length of a first frame's header and encapsulated key: an ML-KEM
// ciphertext and a P-256 point.
const encEnd = 2 + 1088 + 65

// TestEveryPairSwapped: the network gives one message in the place of another.
// No answer opens for another request, no two halves of different requests
// make one, and what is said again changes nothing.
func TestEveryPairSwapped(t *testing.T) {
	r := newRig(t, opaque.P256SHA256)
	accounts := soak.Size(3, 24)
	all := r.conversations(accounts)
	before := map[string]wire.StatusReport{}
	for i := range accounts {
		account := fmt.Sprintf("%d@example", i)
		before[account] = *r.status(account)
	}
	evaluations, entries, tried := r.hal.Evaluations(), len(r.Written), 0
	refused := func(what string, frame []byte) {
		t.Helper()
		tried++
		if reply := r.post(frame); reply.Refused == "" {
			t.Errorf("%s: taken", what)
		}
	}
	for i, a := range all {
		for j, b := range all {
			if i == j {
				continue
			}
			tried++
			if _, err := b.by.OpenAnswer(a.answer); err == nil {
				t.Errorf("the answer to %s opens for %s", a.name, b.name)
			}
			if a.sealed[1] != b.sealed[1] {
				continue // a first and a second trip have no halves that fit
			}
			cut := encEnd
			if channel.Kind(a.sealed[1]) == channel.Second {
				ticket, _, err := channel.SplitSecond(a.sealed)
				must(t, err)
				other, _, err := channel.SplitSecond(b.sealed)
				must(t, err)
				if len(ticket) != len(other) {
					t.Fatal("tickets of two lengths tell what they are for")
				}
				cut = 4 + len(ticket)
			}
			refused("the first half of "+a.name+" and the second of "+b.name, append(bytes.Clone(a.sealed[:cut]), b.sealed[cut:]...))
		}
		// Once more, later: answered as before or refused, never charged.
		if r.post(a.sealed) == nil {
			t.Errorf("%s, again: no answer", a.name)
		}
		tried++
	}
	// A registration's first trip, said again, is evaluated for a new
	// generation: under a new key, so it tells nobody anything of the old one.
	// A second one writes its entry again, which changes nothing.
	if n := r.hal.Evaluations() - evaluations; n != accounts || len(r.Written) > entries+accounts {
		t.Errorf("%d evaluations, want the %d registrations said again, and %d entries", n, accounts, len(r.Written)-entries)
	}
	for account, was := range before {
		if now := *r.status(account); !reflect.DeepEqual(now, was) {
			t.Errorf("%s: %+v became %+v", account, was, now)
		}
	}
	n := 5 * accounts
	seconds := 2 * accounts
	firsts := 3 * accounts
	soak.Tried(t, "P8", "pairs of messages swapped, spliced or said again", tried, n*(n-1)+seconds*(seconds-1)+firsts*(firsts-1)+n)
}
