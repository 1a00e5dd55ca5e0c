package vault

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha3"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/vault/hal"
)

// curveHalf is an HSM that holds one P-256 key: what the box's channel key
// asks of it.
type curveHalf struct {
	hal.HAL
	key *ecdh.PrivateKey
}

func (c curveHalf) PublicKey(string) ([]byte, error) {
	raw := c.key.PublicKey().Bytes()
	return append([]byte{2 | raw[64]&1}, raw[1:33]...), nil
}

func (c curveHalf) MultiplyX(_ string, point []byte) ([]byte, error) {
	p, err := uncompress(point)
	if err != nil {
		return nil, err
	}
	return c.key.ECDH(p)
}

// TestSplitKeyOpensPublishedVectors: the channel's key, with ML-KEM in the box
// and P-256 in the HSM, is the key of draft-ietf-hpke-pq's MLKEM768-P256
// vectors (Go ships them beside crypto/hpke) and opens what they sealed.
func TestSplitKeyOpensPublishedVectors(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src/crypto/hpke/testdata/hpke-pq.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		KEM                   uint16 `json:"kem_id"`
		KDF                   uint16 `json:"kdf_id"`
		AEAD                  uint16 `json:"aead_id"`
		SkRm, PkRm, Enc, Info string
		Encryptions           []struct{ AAD, CT, PT string }
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, v := range vectors {
		if v.KEM != hpke.MLKEM768P256().ID() {
			continue
		}
		// The draft's expansion of a seed: 64 bytes of ML-KEM's, then P-256
		// scalars until one is below the order; the first is.
		expanded := sha3.SumSHAKE256(unhex(t, v.SkRm), 96)
		curve, err := ecdh.P256().NewPrivateKey(expanded[64:])
		if err != nil {
			t.Fatal(err)
		}
		isle := &island{Version: islandVersion, MLKEM: expanded[:64]}
		key, err := isle.channelKey(curveHalf{key: curve})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key.PublicKey().Bytes(), unhex(t, v.PkRm)) {
			t.Fatal("another public key")
		}
		kdf, _ := hpke.NewKDF(v.KDF)
		aead, _ := hpke.NewAEAD(v.AEAD)
		r, err := hpke.NewRecipient(unhex(t, v.Enc), key, kdf, aead, unhex(t, v.Info))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range v.Encryptions {
			if pt, err := r.Open(unhex(t, e.AAD), unhex(t, e.CT)); err != nil || !bytes.Equal(pt, unhex(t, e.PT)) {
				t.Fatalf("%x, %v", pt, err)
			}
			opened++
		}
	}
	if opened != 20 {
		t.Errorf("%d ciphertexts, want 20", opened)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
