package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"strongroom/protocol/wire"
)

// island is a fleet of three boxes with so many custodians, of fixed keys.
func island(t testing.TB, custodians, quorum int) (f *Fleet, keys []ed25519.PrivateKey) {
	t.Helper()
	f = fleet()
	f.Quorum = uint8(quorum)
	for i := range 3 {
		f.Boxes = append(f.Boxes, Box{Key: bytes.Repeat([]byte{byte(i + 1)}, wire.BoxKeyBytes), HSM: "soft", Rollback: "file"})
	}
	for i := range custodians {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
		f.Custodians, keys = append(f.Custodians, key.Public().(ed25519.PublicKey)), append(keys, key)
	}
	if _, err := f.Encode(); err != nil {
		t.Fatal(err)
	}
	return f, keys
}

func newBox(n byte) Box {
	return Box{Key: bytes.Repeat([]byte{n}, wire.BoxKeyBytes), HSM: "soft", Rollback: "file"}
}

// signed signs a statement as these custodians.
func signed(statement []byte, keys []ed25519.PrivateKey, who ...uint8) (list []OrderSignature) {
	for _, n := range who {
		list = append(list, OrderSignature{n, ed25519.Sign(keys[n], statement)})
	}
	return list
}

func replacement(t testing.TB, f *Fleet, keys []ed25519.PrivateKey, old wire.BoxID, by Box, who ...uint8) Replacement {
	t.Helper()
	r := Replacement{Fleet: f.ID, Old: old, New: by}
	statement, err := r.Statement()
	if err != nil {
		t.Fatal(err)
	}
	r.Signatures = signed(statement, keys, who...)
	return r
}

func TestReplacements(t *testing.T) {
	f, keys := island(t, 3, 2)
	old := f.Boxes[1].ID()
	one := replacement(t, f, keys, old, newBox(9), 0, 2)
	two := replacement(t, f, keys, newBox(9).ID(), newBox(8), 1, 2)
	boxes, err := f.BoxesAfter([]Replacement{one, two})
	if err != nil || len(boxes) != 3 || boxes[1].ID() != newBox(8).ID() || boxes[0].ID() != f.Boxes[0].ID() {
		t.Fatal(boxes, err)
	}
	if f.Boxes[1].ID() != old {
		t.Fatal("the document was changed")
	}
	back := replacement(t, f, keys, newBox(9).ID(), f.Boxes[1], 0, 1)
	second := replacement(t, f, keys, old, newBox(7), 0, 1)
	other := *f
	other.ID[0] ^= 1
	for name, list := range map[string][]Replacement{
		"shown again":                 {one, one},
		"shown again, after the next": {one, two, one},
		"a second for one place":      {one, second},
		"one that was taken out":      {one, back},
		"out of order":                {two, one},
		"by one of two":               {replacement(t, f, keys, old, newBox(9), 0)},
		"by one twice":                {replacement(t, f, keys, old, newBox(9), 0, 0)},
		"signed out of order":         {replacement(t, f, keys, old, newBox(9), 2, 0)},
		"by nobody":                   {replacement(t, f, keys, old, newBox(9))},
		"of another fleet":            {replacement(t, &other, keys, old, newBox(9), 0, 2)},
		"for a box of the island":     {replacement(t, f, keys, old, f.Boxes[0], 0, 2)},
		"for itself":                  {replacement(t, f, keys, old, f.Boxes[1], 0, 2)},
		"of no box":                   {replacement(t, f, keys, wire.BoxID{}, newBox(9), 0, 2)},
		"a short key":                 {replacement(t, f, keys, old, Box{Key: make([]byte, 32)}, 0, 2)},
	} {
		if _, err := f.BoxesAfter(list); !errors.Is(err, ErrReplacement) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := *f
	none.Custodians, none.Quorum = nil, 0
	if _, err := none.BoxesAfter([]Replacement{replacement(t, f, keys, old, newBox(9))}); !errors.Is(err, ErrQuorum) {
		t.Errorf("a fleet without custodians obeys: %v", err)
	}
}

// refusesEveryChange flips every bit of what holds, cuts it at every byte and
// makes it longer: what is checked then is the error want.
func refusesEveryChange(t *testing.T, b []byte, check func([]byte) error, want error) {
	t.Helper()
	if err := check(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			flipped := bytes.Clone(b)
			flipped[i] ^= 1 << bit
			if err := check(flipped); !errors.Is(err, want) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
		if err := check(b[:i]); !errors.Is(err, want) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if err := check(append(bytes.Clone(b), 0)); !errors.Is(err, want) {
		t.Fatalf("longer: %v", err)
	}
}

// TestFlippedReplacement flips every bit of a certificate.
func TestFlippedReplacement(t *testing.T) {
	f, keys := island(t, 3, 2)
	b, err := replacement(t, f, keys, f.Boxes[1].ID(), newBox(9), 0, 2).Encode()
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		r, err := DecodeReplacement(b)
		if err == nil {
			_, err = f.BoxesAfter([]Replacement{r})
		}
		return err
	}
	refusesEveryChange(t, b, check, ErrReplacement)
}

// TestStatementsAreApart: a signature under one statement is none under
// another, and an order and its like say what they always said.
func TestStatementsAreApart(t *testing.T) {
	f, keys := island(t, 2, 2)
	body := sha256.Sum256([]byte("a transcript"))
	order := Order{Fleet: f.ID, Shown: []wire.Shown{{Box: f.Boxes[0].ID(), Boot: wire.Boot{1}, Term: 2, Last: 3}, {Box: f.Boxes[2].ID(), Boot: wire.Boot{2}}}}
	ordered, err := order.Statement()
	if err != nil {
		t.Fatal(err)
	}
	r := replacement(t, f, keys, f.Boxes[0].ID(), newBox(9), 0, 1)
	replaced, err := r.Statement()
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string][]byte{"transcript": TranscriptStatement(f.ID, body), "order": ordered, "replacement": replaced}
	for name, statement := range statements {
		vector, err := os.ReadFile("testdata/statement-" + name + ".txt")
		if want := hex.EncodeToString(statement); err != nil || len(vector) < 64 || string(bytes.TrimSpace(vector)) != want {
			t.Errorf("%s: the vectors say %s, this program %s: %v", name, vector, want, err)
		}
		signatures := signed(statement, keys, 0, 1)
		order.Signatures, r.Signatures = signatures, signatures
		_, err1 := f.BoxesAfter([]Replacement{r})
		for as, err := range map[string]error{"transcript": f.CheckTranscript(body, signatures), "order": f.CheckOrder(f.Boxes, order), "replacement": err1} {
			if (err == nil) != (as == name) || err != nil && !errors.Is(err, ErrQuorum) {
				t.Errorf("what was signed as %s is taken as %s: %v", name, as, err)
			}
		}
	}
}

// TestFlippedOrder flips every bit of an order.
func TestFlippedOrder(t *testing.T) {
	f, keys := island(t, 3, 2)
	order := Order{Fleet: f.ID, Shown: []wire.Shown{{Box: f.Boxes[0].ID(), Boot: wire.Boot{1}, Term: 2, Last: 3}, {Box: f.Boxes[2].ID(), Boot: wire.Boot{2}}}}
	statement, err := order.Statement()
	if err != nil {
		t.Fatal(err)
	}
	order.Signatures = signed(statement, keys, 0, 1)
	b, err := order.Encode()
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		o, err := DecodeOrder(b)
		if err == nil {
			err = f.CheckOrder(f.Boxes, o)
		}
		return err
	}
	refusesEveryChange(t, b, check, ErrOrder)
	// A wrong signature beside enough right ones is not passed over.
	order.Signatures = append(order.Signatures, OrderSignature{2, make([]byte, 64)})
	if err := f.CheckOrder(f.Boxes, order); !errors.Is(err, ErrOrder) {
		t.Fatalf("a third, wrong signature: %v", err)
	}
}

func TestBoxSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := Box{Key: elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y)}
	digest := sha256.Sum256([]byte("statement"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	if !b.Signed([]byte("statement"), signature) || b.Signed([]byte("another"), signature) || b.Signed([]byte("statement"), signature[1:]) {
		t.Fatal("a signature for anything, or for nothing")
	}
	for i := range signature {
		signature[i] ^= 1
		if b.Signed([]byte("statement"), signature) {
			t.Fatalf("byte %d flipped", i)
		}
		signature[i] ^= 1
	}
	if (Box{Key: make([]byte, 33)}).Signed([]byte("statement"), signature) {
		t.Fatal("no key, and it signed")
	}
}

func FuzzDecodeReplacement(f *testing.F) {
	fleet, keys := island(f, 3, 2)
	b, err := replacement(f, fleet, keys, fleet.Boxes[1].ID(), newBox(9), 0, 2).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReplacement(b)
		if err != nil {
			if !errors.Is(err, ErrReplacement) {
				t.Fatal(err)
			}
			return
		}
		if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}
