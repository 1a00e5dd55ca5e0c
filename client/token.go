package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"strongroom/protocol/wire"
)

const tokenFileBytesMax = 16 << 10

// Tokens is the pair that the account's issuer gives out: one for the relay,
// outside the seal, one for the vault, only inside it, so that a thief of the
// relay holds nothing that the box takes. It refuses to print.
type Tokens struct {
	Account string `json:"account"`
	Relay   string `json:"relay"`
	Vault   string `json:"vault"`
}

func (Tokens) String() string             { return redacted }
func (Tokens) GoString() string           { return redacted }
func (Tokens) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalJSON refuses: slog's JSON handler would not ask Format.
func (Tokens) MarshalJSON() ([]byte, error) { return nil, errSecret }

// TokenSource gives the account's tokens; it is asked once a request, so that
// it may renew them.
type TokenSource interface {
	Tokens(ctx context.Context) (Tokens, error)
}

// ErrTokens: the tokens are missing or do not parse.
var ErrTokens = errors.New("the account's tokens can not be read")

// Tokens lets a constant pair be its own source.
func (t Tokens) Tokens(context.Context) (Tokens, error) { return t, nil }

// TokenFile is a file as `strongroomd token` prints it, read anew every time.
type TokenFile string

// Tokens reads the file.
func (f TokenFile) Tokens(context.Context) (Tokens, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrTokens, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, tokenFileBytesMax+1))
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrTokens, err)
	}
	t, err := ParseTokens(b)
	if err != nil {
		return Tokens{}, fmt.Errorf("%w (file %s)", err, string(f))
	}
	return t, nil
}

// ParseTokens reads the JSON that `strongroomd token` prints. Errors never
// quote the text: it is a secret.
func ParseTokens(b []byte) (Tokens, error) {
	var t Tokens
	if len(b) > tokenFileBytesMax {
		return t, fmt.Errorf("%w: over %d bytes", ErrTokens, tokenFileBytesMax)
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return Tokens{}, fmt.Errorf("%w: not the JSON that strongroomd token prints", ErrTokens)
	}
	switch {
	case t.Relay == "" || t.Vault == "":
		return Tokens{}, fmt.Errorf("%w: it must hold both \"relay\" and \"vault\"", ErrTokens)
	case len(t.Relay) > wire.TokenBytesMax || len(t.Vault) > wire.TokenBytesMax:
		return Tokens{}, fmt.Errorf("%w: a token over %d bytes", ErrTokens, wire.TokenBytesMax)
	case len(t.Account) > wire.AccountBytesMax:
		return Tokens{}, fmt.Errorf("%w: an account name over %d bytes", ErrTokens, wire.AccountBytesMax)
	}
	return t, nil
}
