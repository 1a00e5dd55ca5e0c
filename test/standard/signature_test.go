package standard

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestWycheproofEd25519 at the two verifications that are used: of a token
// (golang-jwt's EdDSA) and of an owner (crypto/ed25519, after its length).
func TestWycheproofEd25519(t *testing.T) {
	var file struct {
		TestGroups []struct {
			Key   struct{ PK hexBytes }
			Tests []struct {
				TcID            int
				Comment, Result string
				Msg, Sig        hexBytes
			}
		}
	}
	circl.json(t, "sign/ed25519/testdata/wycheproof_Ed25519.json.gz", &file)
	n, refused := 0, 0
	for _, g := range file.TestGroups {
		key := ed25519.PublicKey(g.Key.PK)
		for _, c := range g.Tests {
			valid := c.Result == "valid"
			if err := jwt.SigningMethodEdDSA.Verify(string(c.Msg), c.Sig, key); (err == nil) != valid {
				t.Errorf("%d %s: a token's: %v, want %s", c.TcID, c.Comment, err, c.Result)
			}
			if ok := len(c.Sig) == ed25519.SignatureSize && ed25519.Verify(key, c.Msg, c.Sig); ok != valid {
				t.Errorf("%d %s: an owner's: %v, want %s", c.TcID, c.Comment, ok, c.Result)
			}
			if !valid {
				refused++
			}
			n++
		}
	}
	ran(t, "vectors", n, 145)
	ran(t, "that are no signature", refused, 61)
}

// TestECDSAP256 at golang-jwt's ES256, whose signatures are r and s, 32 bytes
// each (RFC 7518 §3.4, IEEE P1363): the vectors of NIST's CAVP (FIPS 186-4,
// SigVer, P-256 with SHA-256).
func TestECDSAP256(t *testing.T) {
	text := bufio.NewScanner(bzip2.NewReader(bytes.NewReader(goSource.read(t, "crypto/ecdsa/testdata/SigVer.rsp.bz2"))))
	section, fields, n, valid := "", map[string][]byte{}, 0, 0
	for text.Scan() {
		line := text.Text()
		name, value, _ := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "["):
			section = line
		case section != "[P-256,SHA-256]":
		case name == "Result":
			want := strings.HasPrefix(value, "P")
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, padded(fields["Qx"]), padded(fields["Qy"])}, nil))
			if err == nil {
				err = jwt.SigningMethodES256.Verify(string(fields["Msg"]), append(padded(fields["R"]), padded(fields["S"])...), key)
			}
			if (err == nil) != want {
				t.Errorf("%v, want %s", err, value)
			}
			n++
			if want {
				valid++
			}
		case value != "":
			digits := strings.Repeat("0", len(value)%2) + value
			decoded, err := hex.DecodeString(digits)
			must(t, err)
			fields[name] = decoded
		}
	}
	must(t, text.Err())
	ran(t, "vectors", n, 15)
	ran(t, "that are signatures", valid, 3)
}

func padded(b []byte) []byte { return append(make([]byte, max(0, 32-len(b))), b...) }

// TestES256Edges: what Wycheproof tries on ECDSA in the P1363 form, made here
// with a key of our own: its file comes in no module.
func TestES256Edges(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	message := "header.claims"
	good, err := jwt.SigningMethodES256.Sign(message, key)
	must(t, err)
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	n := elliptic.P256().Params().N
	form := func(r, s *big.Int) []byte {
		wide := make([]byte, 64)
		r.FillBytes(wide[:32])
		s.FillBytes(wide[32:])
		return wide
	}
	zero, one, p := new(big.Int), big.NewInt(1), elliptic.P256().Params().P
	digest := sha256.Sum256([]byte(message))
	asn1, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	must(t, err)
	bad := map[string][]byte{
		"empty": {}, "one byte": {0}, "63 bytes": good[:63], "65 bytes": append(bytes.Clone(good), 0),
		"leading zero": append([]byte{0}, good...), "only r": good[:32], "ASN.1": asn1,
		"all zero": make([]byte, 64), "all ones": bytes.Repeat([]byte{0xff}, 64),
		"r = 0": form(zero, s), "s = 0": form(r, zero), "r = s = 1": form(one, one),
		"r = n": form(n, s), "s = n": form(r, n), "r = n, s = n": form(n, n), "r = p": form(p, s), "r = n - 1": form(new(big.Int).Sub(n, one), s),
		"s = n - 1": form(r, new(big.Int).Sub(n, one)), "swapped": form(s, r), "r negated": form(new(big.Int).Sub(n, r), s),
	}
	for i := range 64 {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1 << (i % 8)
		bad[fmt.Sprintf("byte %d flipped", i)] = flipped
	}
	for name, signature := range bad {
		if err := jwt.SigningMethodES256.Verify(message, signature, &key.PublicKey); err == nil {
			t.Errorf("%s: taken for a signature", name)
		}
	}
	ran(t, "forged signatures", len(bad), 20+64)
	must(t, jwt.SigningMethodES256.Verify(message, good, &key.PublicKey))
}
