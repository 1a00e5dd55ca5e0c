package standard

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"testing"
)

type acvp[T any] struct {
	TestGroups []struct {
		TgID                   int
		ParameterSet, Function string
		Tests                  []T
	}
}

// TestMLKEM768: NIST's ACVP vectors for FIPS 203, key generation from the seed
// (which is what the island keeps) and encapsulation. Decapsulation is tried
// on each ciphertext with a key of a known seed: Go opens with no other form.
func TestMLKEM768(t *testing.T) {
	type keyGen struct {
		TcID     int
		D, Z, EK hexBytes
	}
	var prompt, expected acvp[keyGen]
	circl.json(t, "kem/mlkem/testdata/ML-KEM-keyGen-FIPS203/prompt.json.gz", &prompt)
	circl.json(t, "kem/mlkem/testdata/ML-KEM-keyGen-FIPS203/expectedResults.json.gz", &expected)
	keys, opened := 0, 0
	for i, g := range prompt.TestGroups {
		if g.ParameterSet != "ML-KEM-768" {
			continue
		}
		for j, c := range g.Tests {
			key, err := mlkem.NewDecapsulationKey768(append(bytes.Clone(c.D), c.Z...))
			must(t, err)
			if !bytes.Equal(key.EncapsulationKey().Bytes(), expected.TestGroups[i].Tests[j].EK) {
				t.Errorf("key %d is another", c.TcID)
			}
			shared, ciphertext := key.EncapsulationKey().Encapsulate()
			if got, err := key.Decapsulate(ciphertext); err == nil && bytes.Equal(got, shared) {
				opened++
			}
			// Implicit rejection (FIPS 203 §6.3): a changed ciphertext gives a
			// secret, and another one.
			ciphertext[len(ciphertext)-1] ^= 1
			if got, err := key.Decapsulate(ciphertext); err != nil || bytes.Equal(got, shared) {
				t.Errorf("key %d: a changed ciphertext: %v", c.TcID, err)
			}
			keys++
		}
	}
	ran(t, "keys", keys, 25)
	ran(t, "round trips", opened, 25)
	encapsulations(t)
}

func encapsulations(t *testing.T) {
	t.Helper()
	type encapsulation struct {
		TcID        int
		EK, M, C, K hexBytes
	}
	var prompt, expected acvp[encapsulation]
	circl.json(t, "kem/mlkem/testdata/ML-KEM-encapDecap-FIPS203/prompt.json.gz", &prompt)
	circl.json(t, "kem/mlkem/testdata/ML-KEM-encapDecap-FIPS203/expectedResults.json.gz", &expected)
	n := 0
	for i, g := range prompt.TestGroups {
		if g.ParameterSet != "ML-KEM-768" || g.Function != "encapsulation" {
			continue
		}
		for j, c := range g.Tests {
			want := expected.TestGroups[i].Tests[j]
			ek, err := mlkem.NewEncapsulationKey768(c.EK)
			must(t, err)
			k, ciphertext, err := mlkemtest.Encapsulate768(ek, c.M)
			if err != nil || !bytes.Equal(k, want.K) || !bytes.Equal(ciphertext, want.C) {
				t.Errorf("encapsulation %d: %v", c.TcID, err)
			}
			n++
		}
	}
	ran(t, "encapsulations", n, 25)
}

// TestWycheproofX25519: the curve half of the other KEM that the channel takes.
// Go refuses what Wycheproof calls acceptable when the shared secret is zero.
func TestWycheproofX25519(t *testing.T) {
	var vectors []struct {
		TcID                    int
		Comment, Result         string
		Public, Private, Shared hexBytes
		Flags                   []string
	}
	circl.json(t, "dh/x25519/testdata/wycheproof_kat.json.gz", &vectors)
	n, refused := 0, 0
	for _, c := range vectors {
		private, err := ecdh.X25519().NewPrivateKey(c.Private)
		must(t, err)
		public, err := ecdh.X25519().NewPublicKey(c.Public)
		must(t, err)
		shared, err := private.ECDH(public)
		if zero := len(bytes.Trim(c.Shared, "\x00")) == 0; zero != (err != nil) {
			t.Errorf("%d %s: %v", c.TcID, c.Comment, err)
		} else if zero {
			refused++
		} else if !bytes.Equal(shared, c.Shared) {
			t.Errorf("%d %s: another secret", c.TcID, c.Comment)
		}
		n++
	}
	ran(t, "vectors", n, 87)
	ran(t, "points of low order refused", refused, 28)
}
