package standard

import (
	"bytes"
	"crypto/hpke"
	"testing"

	"strongroom/protocol/channel"
)

type hpkeVector struct {
	Mode        int
	KEM         uint16   `json:"kem_id"`
	KDF         uint16   `json:"kdf_id"`
	AEAD        uint16   `json:"aead_id"`
	Info        hexBytes `json:"info"`
	Private     hexBytes `json:"skRm"`
	Public      hexBytes `json:"pkRm"`
	Enc         hexBytes `json:"enc"`
	Encryptions []struct {
		AAD hexBytes `json:"aad"`
		CT  hexBytes `json:"ct"`
		PT  hexBytes `json:"pt"`
	} `json:"encryptions"`
	Exports []struct {
		Context hexBytes `json:"exporter_context"`
		L       int      `json:"L"`
		Value   hexBytes `json:"exported_value"`
	} `json:"exports"`
}

// run opens every ciphertext in order and exports every secret; it tells how
// many it did.
func (v hpkeVector) run(t *testing.T) int {
	t.Helper()
	kem, err := hpke.NewKEM(v.KEM)
	must(t, err)
	kdf, err := hpke.NewKDF(v.KDF)
	must(t, err)
	aead, err := hpke.NewAEAD(v.AEAD)
	must(t, err)
	key, err := kem.NewPrivateKey(v.Private)
	must(t, err)
	if !bytes.Equal(key.PublicKey().Bytes(), v.Public) {
		t.Errorf("kem %#x: another public key", v.KEM)
	}
	r, err := hpke.NewRecipient(v.Enc, key, kdf, aead, v.Info)
	must(t, err)
	n := 0
	for i, e := range v.Encryptions {
		if v.AEAD == 0xffff { // export only: it has none
			break
		}
		bad := bytes.Clone(e.CT)
		bad[len(bad)-1] ^= 1
		if _, err := r.Open(e.AAD, bad); err == nil {
			t.Errorf("kem %#x kdf %#x aead %#x, %d: a changed tag opens", v.KEM, v.KDF, v.AEAD, i)
		}
		if pt, err := r.Open(e.AAD, e.CT); err != nil || !bytes.Equal(pt, e.PT) {
			t.Fatalf("kem %#x kdf %#x aead %#x, %d: %x, %v", v.KEM, v.KDF, v.AEAD, i, pt, err)
		}
		n++
	}
	for _, e := range v.Exports {
		if got, err := r.Export(string(e.Context), e.L); err != nil || !bytes.Equal(got, e.Value) {
			t.Errorf("kem %#x kdf %#x aead %#x: exported %x, %v", v.KEM, v.KDF, v.AEAD, got, err)
		}
		n++
	}
	return n
}

// TestRFC9180: appendix A's base mode, with every KEM, KDF and AEAD that Go
// has; the AES-256-GCM and HKDF-SHA256 of our channel are among them.
func TestRFC9180(t *testing.T) {
	var vectors []hpkeVector
	circl.json(t, "hpke/testdata/vectors_rfc9180_5f503c5.json.gz", &vectors)
	n, suites, ours := 0, 0, 0
	for _, v := range vectors {
		if v.Mode != 0 || v.KEM == 0x21 { // we use the base mode; Go has no X448
			continue
		}
		suites++
		n += v.run(t)
		if v.KDF == hpke.HKDFSHA256().ID() && v.AEAD == hpke.AES256GCM().ID() {
			ours++
		}
	}
	ran(t, "suites", suites, 24)
	ran(t, "suites with our KDF and AEAD", ours, 3)
	ran(t, "openings and exports", n, 24*3+18*257)
}

// TestHPKEPostQuantum: the vectors of draft-ietf-hpke-pq for the two KEMs of
// protocol/channel. None of them has our KDF and AEAD together; those are in
// RFC 9180's, and a key schedule knows nothing of the KEM but its shared secret.
func TestHPKEPostQuantum(t *testing.T) {
	var vectors []hpkeVector
	goSource.json(t, "crypto/hpke/testdata/hpke-pq.json", &vectors)
	n, suites := 0, map[uint16]int{}
	for _, v := range vectors {
		if _, err := channel.ParsePublicKey(v.KEM, v.Public); err != nil {
			continue // the channel takes only its own two
		}
		suites[v.KEM]++
		n += v.run(t)
		refusesBadEnc(t, v)
	}
	ran(t, "suites of MLKEM768-P256", suites[hpke.MLKEM768P256().ID()], 2)
	ran(t, "suites of MLKEM768-X25519", suites[hpke.MLKEM768X25519().ID()], 2)
	ran(t, "openings and exports", n, 4*(10+5))
}

// refusesBadEnc: an encapsulated key whose curve half is no point, and keys of
// other lengths, are refused; so is a public key that ML-KEM would not take.
func refusesBadEnc(t *testing.T, v hpkeVector) {
	t.Helper()
	kem, err := hpke.NewKEM(v.KEM)
	must(t, err)
	key, err := kem.NewPrivateKey(v.Private)
	must(t, err)
	const mlkemBytes = 1088
	zero := bytes.Clone(v.Enc)
	clear(zero[mlkemBytes:]) // no P-256 point, and X25519's point of order 2
	for name, enc := range map[string][]byte{
		"curve half zero": zero, "short": v.Enc[:len(v.Enc)-1], "long": append(bytes.Clone(v.Enc), 0), "empty": nil,
	} {
		if _, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.AES256GCM(), nil); err == nil {
			t.Errorf("kem %#x: %s is taken", v.KEM, name)
		}
	}
	public := bytes.Clone(v.Public)
	public[0], public[1] = 0xff, 0xff // a coefficient not below 3329 (FIPS 203 §7.2)
	if _, err := channel.ParsePublicKey(v.KEM, public); err == nil {
		t.Errorf("kem %#x: an unreduced ML-KEM key is taken", v.KEM)
	}
}
