package channel

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/json"
	"os"
	"testing"

	"strongroom/protocol/wire"
)

// vectors: first trips were sealed once and are opened ever after; all else
// was written by another program that shares no code with this one.
type vectorFile struct {
	First, Second, Session []struct {
		Name, Account                                   string
		KEM                                             uint16
		Slot                                            uint64
		Private, Fleet, Generation, Key                 []byte
		Frame, Sealed, Plaintext, Ticket                []byte
		Secret, Second, Nonce, AnswerText, AnswerSHA256 []byte
	}
}

func vectors(t testing.TB) (v vectorFile) {
	t.Helper()
	b, err := os.ReadFile("../../spec/vectors/channel.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.First) != 2 || len(v.Second) != 2 || len(v.Session) != 1 {
		t.Fatal("vectors are missing")
	}
	return v
}

func vectorKey(t testing.TB, kem uint16, private []byte) hpke.PrivateKey {
	t.Helper()
	k, err := kemOf(kem)
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func checkAnswer(t *testing.T, p *Peer, nonce, plaintext, want []byte) {
	t.Helper()
	b, err := p.SealAnswer(bytes.NewReader(nonce), plaintext)
	if sum := sha256.Sum256(b); err != nil || !bytes.Equal(sum[:], want) {
		t.Errorf("the answer's hash is %x, %v", sum, err)
	}
}

func TestVectors(t *testing.T) {
	v := vectors(t)
	for _, c := range v.First {
		plaintext, p, err := OpenFirst(vectorKey(t, c.KEM, c.Private), wire.FleetID(c.Fleet), c.Frame)
		if err != nil || !bytes.Equal(plaintext, c.Plaintext) {
			t.Fatalf("%s: %q, %v", c.Name, plaintext, err)
		}
		if s := p.SecondSecret(); !bytes.Equal(s[:], c.Second) {
			t.Errorf("%s: another secret for the second trip", c.Name)
		}
		checkAnswer(t, p, c.Nonce, c.AnswerText, c.AnswerSHA256)
	}
	for _, c := range v.Second {
		ticket, body, err := SplitSecond(c.Frame)
		if err != nil || !bytes.Equal(ticket, c.Ticket) {
			t.Fatalf("%s: %v", c.Name, err)
		}
		plaintext, p, err := OpenSecond([secretBytes]byte(c.Secret), body, ticket)
		if err != nil || !bytes.Equal(plaintext, c.Plaintext) {
			t.Fatalf("%s: %q, %v", c.Name, plaintext, err)
		}
		checkAnswer(t, p, c.Nonce, c.AnswerText, c.AnswerSHA256)
	}
	for _, c := range v.Session {
		b, err := SealUnderSession(c.Key, wire.FleetID(c.Fleet), c.Account, wire.Generation(c.Generation), c.Slot, c.Plaintext)
		if err != nil || !bytes.Equal(b, c.Sealed) {
			t.Errorf("%s: %x, %v", c.Name, b, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	v := vectors(f)
	key := vectorKey(f, v.First[0].KEM, v.First[0].Private)
	secret := [secretBytes]byte(v.Second[0].Secret)
	good := map[string]bool{}
	for _, c := range append(v.First[:1], v.Second...) {
		good[string(c.Frame)] = true
		f.Add(c.Frame)
		f.Add(c.Frame[:40])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := KindOf(b)
		switch {
		case err != nil:
		case k == First:
			_, _, err = OpenFirst(key, wire.FleetID(v.First[0].Fleet), b)
		default:
			var ticket, body []byte
			if ticket, body, err = SplitSecond(b); err == nil {
				_, _, err = OpenSecond(secret, body, ticket)
			}
		}
		if err == nil && !good[string(b)] || err != nil && !refused(err) {
			t.Fatal(err)
		}
	})
}

func FuzzOpenAnswer(f *testing.F) {
	e := &Exchange{&trip{salt: make([]byte, saltBytes)}}
	good, err := (&Peer{e.trip}).SealAnswer(bytes.NewReader(make([]byte, saltBytes)), []byte("answer"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:saltBytes])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := e.OpenAnswer(b); err == nil && !bytes.Equal(b, good) || err != nil && !refused(err) {
			t.Fatal(err)
		}
	})
}

func FuzzUnpad(f *testing.F) {
	f.Add([]byte{0, 1, 'm', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := unpad(b)
		if err != nil {
			return
		}
		if again, err := pad(nil, m, len(b)); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}
