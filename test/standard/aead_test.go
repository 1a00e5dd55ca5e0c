package standard

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"
)

// TestWycheproofAESGCM at the AEAD that channel, vault, hsm, client and backup
// seal with: AES-GCM with 96-bit nonces and 128-bit tags.
func TestWycheproofAESGCM(t *testing.T) {
	var file struct {
		TestGroups []struct {
			IVSize, KeySize, TagSize int
			Tests                    []struct {
				TcID                       int
				Comment, Result            string
				Key, IV, AAD, Msg, CT, Tag hexBytes
			}
		}
	}
	s2a.json(t, "internal/record/internal/aeadcrypter/testdata/aes_gcm_wycheproof.json", &file)
	n, refused, ours, otherNonces := 0, 0, 0, 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			block, err := aes.NewCipher(c.Key)
			must(t, err)
			if g.IVSize != 96 || g.TagSize != 128 {
				// No call site makes such an AEAD: NewGCM gives it no room.
				otherNonces++
				continue
			}
			a, err := cipher.NewGCM(block)
			must(t, err)
			pt, err := a.Open(nil, c.IV, append(bytes.Clone(c.CT), c.Tag...), c.AAD)
			if valid := c.Result == "valid"; (err == nil) != valid || valid && !bytes.Equal(pt, c.Msg) {
				t.Errorf("%d %s: %v, want %s", c.TcID, c.Comment, err, c.Result)
			}
			if c.Result == "valid" && !bytes.Equal(a.Seal(nil, c.IV, c.Msg, c.AAD), append(bytes.Clone(c.CT), c.Tag...)) {
				t.Errorf("%d %s: seals to something else", c.TcID, c.Comment)
			}
			if c.Result == "invalid" {
				refused++
			}
			if g.KeySize == 256 {
				ours++
			}
			n++
		}
	}
	ran(t, "vectors", n, 143)
	ran(t, "of AES-256", ours, 48)
	ran(t, "that must not open", refused, 81)
	ran(t, "with nonces that nobody uses", otherNonces, 113)
}
