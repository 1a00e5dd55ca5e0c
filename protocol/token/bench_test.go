package token_test

import (
	"crypto/ed25519"
	"testing"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
)

// BenchmarkCheck is a check beside the signature alone, which is its floor.
func BenchmarkCheck(b *testing.B) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	const now = 1_700_000_000
	issuers := []bundle.Issuer{{ID: "test", Alg: bundle.EdDSA, Key: public}}
	jws, err := token.Issue(token.Claims{Account: "alice", Audience: token.AudienceRelay, IssuedUnix: now, ExpiresUnix: now + 60, ID: "t"}, "test", private)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := token.Check(jws, issuers, token.AudienceRelay, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		message, signature := []byte(jws), ed25519.Sign(private, []byte(jws))
		for b.Loop() {
			if !ed25519.Verify(public, message, signature) {
				b.Fatal("refused")
			}
		}
	})
}
