package channel

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom/protocol/wire"
)

var fleet = wire.FleetID{1, 2, 3}

func newKey(t testing.TB, kem hpke.KEM) hpke.PrivateKey {
	t.Helper()
	key, err := kem.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A whole conversation: first trip, answer, second trip, answer.
func TestConversation(t *testing.T) {
	for _, kem := range []hpke.KEM{hpke.MLKEM768P256(), hpke.MLKEM768X25519()} {
		key := newKey(t, kem)
		pub, err := ParsePublicKey(kem.ID(), key.PublicKey().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		request, e, err := SealFirst(pub, fleet, []byte("first"))
		if err != nil {
			t.Fatal(err)
		}
		plain, peer, err := OpenFirst(key, fleet, request)
		if err != nil || string(plain) != "first" {
			t.Fatalf("%q, %v", plain, err)
		}
		answer, err := peer.SealAnswer(rand.Reader, []byte("answer"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err = e.OpenAnswer(answer); err != nil || string(plain) != "answer" {
			t.Fatalf("%q, %v", plain, err)
		}
		request2, e2, err := e.SealSecond([]byte("ticket"), []byte("second"))
		if err != nil {
			t.Fatal(err)
		}
		ticket, body, err := SplitSecond(request2)
		if err != nil || string(ticket) != "ticket" {
			t.Fatalf("%q, %v", ticket, err)
		}
		plain, peer2, err := OpenSecond(peer.SecondSecret(), body, ticket)
		if err != nil || string(plain) != "second" {
			t.Fatalf("%q, %v", plain, err)
		}
		answer2, err := peer2.SealAnswer(rand.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err = e2.OpenAnswer(answer2); err != nil || len(plain) != 0 {
			t.Fatalf("%q, %v", plain, err)
		}
		if _, err := e.OpenAnswer(answer2); !errors.Is(err, ErrOpen) {
			t.Fatalf("the first exchange opened the second's answer: %v", err)
		}
		if bytes.Equal(request[2:34], request2[2:34]) || len(request) != len(request2) || len(answer) != len(answer2) {
			t.Fatal("lengths differ")
		}
	}
}
