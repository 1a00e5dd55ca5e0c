// Package feed is the operator's side of the alerts: it opens what a box
// sealed to the fleet's alert key, and brings it to the operator's webhook or
// to whoever reads it. Whoever holds that key reads which account was tried
// when; no password, key or record is in it.
package feed

import (
	"crypto/hpke"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
)

// Kinds of PEM blocks (RFC 7468).
const (
	privateBlock = "STRONGROOM ALERT KEY"
	publicBlock  = "STRONGROOM ALERT PUBLIC KEY"
)

// Errors of alert keys.
var (
	// ErrKey: the file holds no alert key.
	ErrKey = errors.New("this is no alert key")
	// ErrOtherKey: the key is another one than the fleet's document names.
	ErrOtherKey = errors.New("this alert key belongs to another fleet")
	// ErrNone: the fleet was made without an alert key.
	ErrNone = errors.New("this fleet was made without an alert key: its vault tells of no account")
)

// kem is that of the clients' channel.
func kem() hpke.KEM { return hpke.MLKEM768P256() }

// MakeKey draws a pair: the texts of the private and of the public file.
func MakeKey() (private, public []byte, err error) {
	key, err := kem().GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	secret, err := key.Bytes()
	if err != nil {
		return nil, nil, err
	}
	private = pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: secret})
	return private, pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: key.PublicKey().Bytes()}), nil
}

// ReadPublic reads a public key file, for a new fleet's document.
func ReadPublic(text []byte) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != publicBlock {
		return nil, fmt.Errorf("%w: it holds no block %q", ErrKey, publicBlock)
	}
	if _, err := kem().NewPublicKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return block.Bytes, nil
}

// OpenKey reads the private key file of a fleet.
func OpenKey(path string, fleet *bundle.Fleet) (*channel.AlertReader, error) {
	if len(fleet.Alert) == 0 {
		return nil, ErrNone
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != privateBlock {
		return nil, fmt.Errorf("%s: %w: it holds no block %q", path, ErrKey, privateBlock)
	}
	key, err := kem().NewPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrKey, err)
	}
	if string(key.PublicKey().Bytes()) != string(fleet.Alert) {
		return nil, fmt.Errorf("%s: %w", path, ErrOtherKey)
	}
	return channel.NewAlertReader(key, fleet.ID), nil
}
