package serve

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"strongroom/protocol/bundle"
	"strongroom/protocol/token"
	"strongroom/protocol/wire"
)

// Limits of the built-in issuer's tokens.
const (
	TokenLifetimeDefault = 720 * time.Hour
	tokenLifetimeMin     = time.Minute
	tokenLifetimeMax     = 366 * 24 * time.Hour
)

// Tokens is the pair that a person gives to a client.
type Tokens struct {
	Account string `json:"account"`
	Relay   string `json:"relay"`
	Vault   string `json:"vault"`
}

// ReadFleet reads the fleet document of a data folder, also while it serves.
func ReadFleet(data string) (document []byte, f *bundle.Fleet, err error) {
	document, err = os.ReadFile(inVault(data, fleetName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %s. Start one with: strongroomd serve --data %s", ErrNoVault, data, data)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if f, err = bundle.Decode(document); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrDamaged, fleetName, err)
	}
	return document, f, nil
}

// IssueTokens signs a pair of tokens with the built-in issuer's key of a data
// folder, also while it serves.
func IssueTokens(data, account string, ttl time.Duration, now time.Time) (Tokens, error) {
	_, fleet, err := ReadFleet(data)
	if err != nil {
		return Tokens{}, err
	}
	if account == "" || len(account) > wire.AccountBytesMax || !utf8.ValidString(account) {
		return Tokens{}, fmt.Errorf("%w: the account's name must have 1 to %d bytes of UTF-8", ErrUsage, wire.AccountBytesMax)
	}
	if ttl < tokenLifetimeMin || ttl > tokenLifetimeMax {
		return Tokens{}, fmt.Errorf("%w: --ttl must be from %v to %v", ErrUsage, tokenLifetimeMin, tokenLifetimeMax)
	}
	key, err := readIssuer(inVault(data, issuerName))
	if err != nil {
		return Tokens{}, err
	}
	issue := func(audience string) (string, error) {
		return token.Issue(token.Claims{
			Account: account, Audience: audience, ID: rand.Text(),
			IssuedUnix: now.Unix(), ExpiresUnix: now.Add(ttl).Unix(),
		}, fleet.Issuers[0].ID, key)
	}
	relay, err := issue(token.AudienceRelay)
	if err != nil {
		return Tokens{}, err
	}
	inside, err := issue(hex.EncodeToString(fleet.ID[:]))
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{Account: account, Relay: relay, Vault: inside}, nil
}
