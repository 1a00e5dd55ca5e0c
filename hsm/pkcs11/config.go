// Package pkcs11 is an HSM behind PKCS#11 v2.40: any vendor's module, SoftHSM2
// in the tests. It is built only with cgo and the tag "pkcs11"; without them
// Create and Open answer ErrNotBuilt, so that the pure-Go build stays as it is.
//
// What the token is asked for: P-256 key pairs, ECDH that gives x
// (CKM_ECDH1_DERIVE with CKD_NULL), AES key wrap, AES-GCM, HMAC-SHA256, two
// data objects. What it promises is what is promised here: a durable write is
// as durable as the token makes it (SoftHSM2 calls no fsync), and a token whose
// store can be put back to an older day, as SoftHSM2's can, puts the durable
// memory back with it.
//
// One process uses one token: login and sessions are the process's.
package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// Kind is how status and the fleet's document name this provider.
const Kind = "pkcs11"

// Mechanisms that wrap keys. Vendors agree on the job (RFC 5649) and not on
// its number.
const (
	WrapAES    uint = 0x2109 // CKM_AES_KEY_WRAP, RFC 3394 in most tokens
	WrapAESPad uint = 0x210A // CKM_AES_KEY_WRAP_PAD: RFC 5649 in SoftHSM2; the default
	WrapAESKWP uint = 0x210B // CKM_AES_KEY_WRAP_KWP of PKCS#11 v3.0
)

// SessionsDefault bounds the sessions in use at a time: a goroutine takes one
// for the length of a call.
const SessionsDefault = 16

// Config says which token, and how to log in to it.
type Config struct {
	Module string // path of the vendor's shared library
	Token  string // label of the token; "" where Slot says which
	Slot   *uint  // number of the slot; nil where Token says which
	PIN    PIN    // of the normal user

	WrapMechanism uint // of new keys; 0 is WrapAESPad
	Sessions      int  // at a time; 0 is SessionsDefault
}

// PIN gives the PIN at each login, so that it lies in memory only for it.
type PIN func() (Secret, error)

// Secret is a PIN. It does not print.
type Secret []byte

func (Secret) String() string               { return "[redacted]" }
func (Secret) GoString() string             { return "[redacted]" }
func (Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte("[redacted]")) }
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Errors of this package; the ones of vault/hal are wrapped beside them.
var (
	// ErrNotBuilt: the program was built without this provider.
	ErrNotBuilt = errors.New("pkcs11: this program was built without PKCS#11; build it with: CGO_ENABLED=1 go build -tags pkcs11")
	// ErrModule: the vendor's library does not load or start.
	ErrModule = errors.New("pkcs11: the module does not load; give the path of the vendor's PKCS#11 library")
	// ErrToken: no token, or more than one, is what was asked for.
	ErrToken = errors.New("pkcs11: no such token")
	// ErrInUse: this process has the token open already.
	ErrInUse = errors.New("pkcs11: this process uses the token already")
	// ErrPIN: the PIN could not be read.
	ErrPIN = errors.New("pkcs11: the PIN can not be read")
	// ErrExists: Create found keys of ours; nothing was changed.
	ErrExists = errors.New("pkcs11: the token holds a vault's keys already")
	// ErrMissing: Open found none.
	ErrMissing = errors.New("pkcs11: the token holds no vault's keys")
	// ErrObject: an object of ours in the token is not as it was made.
	ErrObject = errors.New("pkcs11: an object in the token is damaged or doubled")
	// ErrAnswer: the token computed something that can not be.
	ErrAnswer = errors.New("pkcs11: the token gave a wrong result")
	// ErrTooLarge: more than hal.MemoryBytes.
	ErrTooLarge = errors.New("pkcs11: the durable memory holds 1,024 bytes")
)

// PINFile reads the PIN from the first line of a file.
func PINFile(path string) PIN {
	return func() (Secret, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPIN, err)
		}
		line, _, _ := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return nil, fmt.Errorf("%w: %s is empty", ErrPIN, path)
		}
		return line, nil
	}
}

// PINEnv reads the PIN from an environment variable.
func PINEnv(name string) PIN {
	return func() (Secret, error) {
		pin := os.Getenv(name)
		if pin == "" {
			return nil, fmt.Errorf("%w: the environment variable %s is empty", ErrPIN, name)
		}
		return Secret(pin), nil
	}
}

// settled fills in what was left out and refuses what says too little.
func (c Config) settled() (Config, error) {
	if c.WrapMechanism == 0 {
		c.WrapMechanism = WrapAESPad
	}
	if c.Sessions <= 0 {
		c.Sessions = SessionsDefault
	}
	if c.PIN == nil {
		return c, fmt.Errorf("%w: none was given", ErrPIN)
	}
	if c.Token == "" && c.Slot == nil {
		return c, fmt.Errorf("%w: give its label or its slot", ErrToken)
	}
	if c.Module == "" {
		return c, ErrModule
	}
	return c, nil
}
