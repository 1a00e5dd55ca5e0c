// Package token reads and makes account tokens: JWTs (RFC 7519) by which the
// messaging service names its user. One kind is for the relay, one for the
// vault; they differ in their audience, and neither is taken for the other.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// AudienceRelay is the audience of the relay's tokens. The vault's is the
// fleet's id in hexadecimal.
const AudienceRelay = "relay"

// Limits, in seconds.
const (
	skewSeconds     = 60              // clocks may differ by so much
	lifetimeSeconds = 400 * 24 * 3600 // no token is good for longer
	unixSecondsMax  = 1<<53 - 1       // RFC 8259 §6: what every JSON number holds exactly
)

// notJWS: no character of a compact JWS (RFC 7515 §7.1), which is base64url
// and dots.
func notJWS(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

func sane(unix int64) bool { return unix >= 0 && unix <= unixSecondsMax }

// Why a token is refused; each is wrapped in ErrRefused.
var (
	ErrRefused   = errors.New("token: refused")
	ErrForm      = errors.New("not a token of the expected form")
	ErrIssuer    = errors.New("not signed by an issuer of this fleet")
	ErrAudience  = errors.New("made for another audience")
	ErrExpired   = errors.New("expired")
	ErrNotYet    = errors.New("not valid yet")
	ErrLifetime  = errors.New("valid for too long")
	ErrNoAccount = errors.New("names no account, or one that is too long")
)

// Claims are what a token says.
type Claims struct {
	Account     string
	Audience    string
	IssuedUnix  int64
	ExpiresUnix int64
	ID          string
}

// Expired tells that a token is good no longer. Whoever checked it once needs
// to look at nothing else again.
func (c Claims) Expired(nowUnix int64) bool { return expired(c.ExpiresUnix, nowUnix) }

func expired(expiresUnix, nowUnix int64) bool { return nowUnix > expiresUnix+skewSeconds }

// Check gives what a token says, when an issuer of the fleet signed it for
// this audience and it is good now.
func Check(jws string, issuers []bundle.Issuer, audience string, nowUnix int64) (Claims, error) {
	c, err := check(jws, issuers, audience, nowUnix)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return c, nil
}

// parser leaves times and audience to validate.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{bundle.EdDSA, bundle.ES256}),
	jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())

func check(jws string, issuers []bundle.Issuer, audience string, nowUnix int64) (Claims, error) {
	// encoding/base64 passes over line breaks: one token would have many texts.
	if len(jws) > wire.TokenBytesMax || strings.ContainsFunc(jws, notJWS) {
		return Claims{}, ErrForm
	}
	var claims jwt.RegisteredClaims
	_, err := parser.ParseWithClaims(jws, &claims, func(t *jwt.Token) (any, error) { return keyOf(t, issuers) })
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return Claims{}, ErrForm
	case err != nil:
		return Claims{}, ErrIssuer
	}
	return validate(&claims, audience, nowUnix)
}

// keyOf finds the issuer by its id. The algorithm is the issuer's, never the
// token's choice: a token can not have an ES256 key read as something else.
func keyOf(t *jwt.Token, issuers []bundle.Issuer) (crypto.PublicKey, error) {
	kid, _ := t.Header["kid"].(string)
	if _, critical := t.Header["crit"]; critical { // RFC 7515 §4.1.11: we understand none
		return nil, ErrForm
	}
	for _, i := range issuers {
		if i.ID == kid && i.Alg == t.Method.Alg() {
			return publicKey(i)
		}
	}
	return nil, ErrIssuer
}

func publicKey(i bundle.Issuer) (crypto.PublicKey, error) {
	if i.Alg == bundle.EdDSA {
		if len(i.Key) != ed25519.PublicKeySize {
			return nil, ErrIssuer
		}
		return ed25519.PublicKey(i.Key), nil
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), i.Key)
}

func validate(c *jwt.RegisteredClaims, audience string, nowUnix int64) (Claims, error) {
	switch {
	case len(c.Audience) != 1 || c.Audience[0] != audience:
		return Claims{}, ErrAudience
	case c.Subject == "" || len(c.Subject) > wire.AccountBytesMax || !utf8.ValidString(c.Subject):
		return Claims{}, ErrNoAccount
	case c.ExpiresAt == nil || c.IssuedAt == nil:
		return Claims{}, ErrForm
	case !sane(c.ExpiresAt.Unix()) || !sane(c.IssuedAt.Unix()) || c.NotBefore != nil && !sane(c.NotBefore.Unix()):
		return Claims{}, ErrForm // else the sums below could overflow and a token live for ever
	case expired(c.ExpiresAt.Unix(), nowUnix):
		return Claims{}, ErrExpired
	case c.IssuedAt.Unix() > nowUnix+skewSeconds, c.NotBefore != nil && c.NotBefore.Unix() > nowUnix+skewSeconds:
		return Claims{}, ErrNotYet
	case c.ExpiresAt.Unix()-c.IssuedAt.Unix() > lifetimeSeconds:
		return Claims{}, ErrLifetime
	}
	return Claims{
		Account: c.Subject, Audience: audience, ID: c.ID,
		IssuedUnix: c.IssuedAt.Unix(), ExpiresUnix: c.ExpiresAt.Unix(),
	}, nil
}
