package relay

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/protocol/token"
)

// A relay remembers a good token. It must not remember its account beyond its
// time, nor take another token for it.
func TestRememberedToken(t *testing.T) {
	g := newRig(t, Config{})
	jws := g.token(t, "alice", nil)
	other := g.token(t, "alice", func(c *token.Claims) { c.ID = "another" })
	forged := jws[:strings.LastIndexByte(jws, '.')] + other[strings.LastIndexByte(other, '.'):] // her claims, another token's signature
	for range 2 {
		claims, err := g.tokens.check(jws, clock.Unix())
		if err != nil || claims.Account != "alice" {
			t.Fatal(claims, err)
		}
		if _, err := g.tokens.check(forged, clock.Unix()); !errors.Is(err, token.ErrIssuer) {
			t.Fatalf("a forged signature: %v", err)
		}
	}
	if n := g.tokens.oldest.Len(); n != 1 {
		t.Fatalf("%d tokens are remembered, want the good one", n)
	}
	later := clock.Add(time.Hour + 10*time.Minute).Unix()
	if _, err := g.tokens.check(jws, later); !errors.Is(err, token.ErrExpired) {
		t.Fatalf("after its end: %v", err)
	}
}

// What is remembered is bounded, and forgets nobody's right: a token that was
// pushed out is checked again.
func TestTokensAreBounded(t *testing.T) {
	g := newRig(t, Config{})
	tokens := newTokens(g.tokens.issuers, 3)
	first := g.token(t, "0", nil)
	for i := range 10 {
		if _, err := tokens.check(first, clock.Unix()); err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.check(g.token(t, fmt.Sprint(i), func(c *token.Claims) { c.ID = "x" }), clock.Unix()); err != nil {
			t.Fatal(err)
		}
		if len(tokens.byHash) > 3 || tokens.oldest.Len() != len(tokens.byHash) {
			t.Fatalf("%d and %d tokens are remembered", len(tokens.byHash), tokens.oldest.Len())
		}
	}
	front := tokens.oldest.Front().Value.(*checked)
	if front.claims.Account == "0" && front.claims.ID == "" {
		t.Fatal("the token in use is the next to go")
	}
}
