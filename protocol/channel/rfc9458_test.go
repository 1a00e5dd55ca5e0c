package channel

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"testing"
)

// TestRFC9458Response: the keys of an answer come from the secret, the
// encapsulated key and the answer's nonce as in RFC 9458 §4.4. Its appendix A
// has AES-128-GCM, so the lengths differ from ours; the construction does not.
func TestRFC9458Response(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	enc := unhex("4b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad19dec96c208b472")
	nonce := unhex("c789e7151fcba46158ca84b04464910d")
	d, err := derive(unhex("62d87a6ba569ee81014c2641f52bea36"), append(append([]byte{}, enc...), nonce...))
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex("979aaeae066cf211ab407b31ae49767f344e1501e475c84e8aff547cc5a683db"); !bytes.Equal(d.prk, want) {
		t.Fatalf("prk %x", d.prk)
	}
	key, err := d.expand("key", 16)
	if want := unhex("5d0172a080e428b16d298c4ea0db620d"); err != nil || !bytes.Equal(key, want) {
		t.Fatalf("aead_key %x, %v", key, err)
	}
	iv, err := d.expand("nonce", nonceBytes)
	if want := unhex("f6bf1aeb88d6df87007fa263"); err != nil || !bytes.Equal(iv, want) {
		t.Fatalf("aead_nonce %x, %v", iv, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	if got := append(nonce, a.Seal(nil, iv, unhex("0140c8"), nil)...); !bytes.Equal(got, unhex("c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd")) {
		t.Errorf("the answer is %x", got)
	}
}
