package standard

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

// TestHMAC: RFC 4231 §4.2, §4.3, §4.7 (a key longer than a block).
func TestHMAC(t *testing.T) {
	jefe := []byte("what do ya want for nothing?")
	long := []byte("Test Using Larger Than Block-Size Key - Hash Key First")
	for _, c := range []struct {
		h         func() hash.Hash
		key, data []byte
		want      string
	}{
		{sha256.New, bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{sha256.New, []byte("Jefe"), jefe, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{sha256.New, bytes.Repeat([]byte{0xaa}, 131), long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{sha512.New, bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"), "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
		{sha512.New, []byte("Jefe"), jefe, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
	} {
		mac := hmac.New(c.h, c.key)
		mac.Write(c.data)
		if got := mac.Sum(nil); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%x, want %s", got, c.want)
		}
	}
}

// TestHKDF: RFC 5869 appendices A.1 to A.3. HKDF-SHA512 runs in RFC 9807's
// vectors of the suite ristretto255-SHA512 (protocol/opaque).
func TestHKDF(t *testing.T) {
	upTo := func(from, to int) (b []byte) {
		for i := from; i <= to; i++ {
			b = append(b, byte(i))
		}
		return b
	}
	for _, c := range []struct {
		key, salt, info []byte
		prk, okm        string
	}{
		{bytes.Repeat([]byte{0x0b}, 22), upTo(0, 0x0c), upTo(0xf0, 0xf9),
			"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{upTo(0, 0x4f), upTo(0x60, 0xaf), upTo(0xb0, 0xff),
			"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
			"b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{bytes.Repeat([]byte{0x0b}, 22), nil, nil,
			"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	} {
		prk, err := hkdf.Extract(sha256.New, c.key, c.salt)
		if err != nil || !bytes.Equal(prk, unhex(t, c.prk)) {
			t.Errorf("PRK %x, %v", prk, err)
		}
		okm, err := hkdf.Expand(sha256.New, prk, string(c.info), len(c.okm)/2)
		if err != nil || !bytes.Equal(okm, unhex(t, c.okm)) {
			t.Errorf("OKM %x, %v", okm, err)
		}
	}
}
