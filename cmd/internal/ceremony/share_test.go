package ceremony

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom/vault/hal"
)

func TestShares(t *testing.T) {
	var key [hal.CopyKeyBytes]byte
	for n := 1; n <= 5; n++ {
		for quorum := 1; quorum <= n; quorum++ {
			if _, err := rand.Read(key[:]); err != nil {
				t.Fatal(err)
			}
			shares, err := split(key, quorum, n)
			if err != nil {
				t.Fatal(err)
			}
			for subset := range 1 << n {
				var some []Share
				for i, s := range shares {
					if subset>>i&1 == 1 {
						some = append(some, s)
					}
				}
				got, err := join(some)
				if enough := len(some) >= quorum; enough != (err == nil) || enough && got != key {
					t.Fatalf("%d of %d, given %d: %v", quorum, n, len(some), err)
				}
				for i := range some { // who lies about the quorum gets something else
					some[i].Quorum = len(some)
				}
				if got, _ := join(some); len(some) < quorum && got == key {
					t.Fatalf("%d of %d: %d were enough", quorum, n, len(some))
				}
			}
		}
	}
	shares, err := split(key, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(s []Share){
		"one twice":       func(s []Share) { s[1] = s[0] },
		"of two copies":   func(s []Share) { s[1].Copy = "x" },
		"of two fleets":   func(s []Share) { s[1].Fleet = "x" },
		"of two quorums":  func(s []Share) { s[1].Quorum = 1 },
		"cut":             func(s []Share) { s[1].Low = s[1].Low[1:] },
		"of number zero":  func(s []Share) { s[1].ID = 0 },
		"of a wrong name": func(s []Share) { s[1].ID = 3 },
	} {
		some := append([]Share{}, shares[:2]...)
		change(some)
		if got, err := join(some); !errors.Is(err, ErrShares) || got == key {
			t.Errorf("%s: %v", name, err)
		}
	}
	some := append([]Share{}, shares[:2]...)
	for half := range 2 {
		for i := range *shares[1].half(half) {
			b := append([]byte{}, *shares[1].half(half)...)
			b[i] ^= 1
			*some[1].half(half) = b
			if got, _ := join(some); got == key {
				t.Fatalf("half %d, byte %d flipped: the same key", half, i)
			}
		}
		*some[1].half(half) = *shares[1].half(half)
	}
}

// TestSharesOfACeremony: what the custodians were given opens the copy, and
// only for whom it was sealed.
func TestSharesOfACeremony(t *testing.T) {
	path, people := planOf(t, 3, 3, 2)
	_, r := held(t, path)
	out := options(path).Out
	var shares []Share
	for i, c := range people {
		sealed, err := os.ReadFile(filepath.Join(out, ShareName(c.Card.Name)))
		if err != nil {
			t.Fatal(err)
		}
		if digestOf(sealed) != r.Transcript.Body.Copy.Shares[i] {
			t.Fatal("the transcript tells of another share")
		}
		if _, err := people[(i+1)%3].OpenShare(sealed); !errors.Is(err, ErrShares) {
			t.Fatalf("another's share opens: %v", err)
		}
		s, err := c.OpenShare(sealed)
		if err != nil {
			t.Fatal(err)
		}
		shares = append(shares, s)
	}
	copied, err := os.ReadFile(filepath.Join(out, CopyName))
	if err != nil || digestOf(copied) != shares[0].Copy || shares[0].Copy != r.Transcript.Body.Copy.Copy {
		t.Fatalf("another copy: %v", err)
	}
	one, err1 := join(shares[:2])
	two, err2 := join(shares[1:])
	if err1 != nil || err2 != nil || one != two {
		t.Fatal("two quorums give two keys", err1, err2)
	}
}

func TestCustodianFile(t *testing.T) {
	made, file, err := NewCustodian("anna", passphrase, stretchCheap)
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenCustodian(file, passphrase)
	if err != nil || c.Card != made.Card || !c.private.Equal(made.private) {
		t.Fatal(err)
	}
	if _, err := OpenCustodian(file, []byte("another passphrase")); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("a wrong passphrase: %v", err)
	}
	for i := range file {
		bad := append([]byte{}, file...)
		bad[i] ^= 1
		if _, err := OpenCustodian(bad, passphrase); err == nil {
			t.Fatalf("byte %d flipped", i)
		}
	}
	if _, _, err := NewCustodian("anna", []byte("short"), stretchCheap); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("a short passphrase: %v", err)
	}
	if _, _, err := NewCustodian("a/b", passphrase, stretchCheap); !errors.Is(err, ErrCard) {
		t.Fatalf("a name that is a path: %v", err)
	}
}
