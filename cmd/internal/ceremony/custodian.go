package ceremony

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"filippo.io/age"
)

const (
	nameBytesMax       = 64
	fileBytesMax       = 64 << 10
	passphraseBytesMin = 12
	stretchDefault     = 18 // scrypt's work factor, a power of two: age's own default
)

// Errors of custodians' files.
var (
	ErrCard       = errors.New("not a custodian's card")
	ErrPassphrase = errors.New("the custodian's passphrase")
)

// Card is the public half of a custodian.
type Card struct {
	Name string `json:"name"`
	Sign string `json:"sign"` // Ed25519 public key (RFC 8032), 64 hex digits
	Seal string `json:"seal"` // age recipient, post-quantum hybrid: shares are sealed to it
}

// ParseCard reads a card, or gives ErrCard.
func ParseCard(text []byte) (c Card, err error) {
	if err := decode(text, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrCard, err)
	}
	return c, c.validate()
}

func (c Card) validate() error {
	if !nameable(c.Name) {
		return fmt.Errorf("%w: a name has 1 to %d printable bytes", ErrCard, nameBytesMax)
	}
	if key, err := hex.DecodeString(c.Sign); err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: %q has no Ed25519 key", ErrCard, c.Name)
	}
	if _, err := age.ParseHybridRecipient(c.Seal); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrCard, c.Name, err)
	}
	return nil
}

// key is the Ed25519 key of a card that was validated.
func (c Card) key() ed25519.PublicKey {
	key, _ := hex.DecodeString(c.Sign)
	return key
}

// sealTo seals a secret for this custodian alone.
func (c Card) sealTo(plaintext []byte) ([]byte, error) {
	recipient, err := age.ParseHybridRecipient(c.Seal)
	if err != nil {
		return nil, err
	}
	return ageSeal(plaintext, recipient)
}

// Custodian is one whose key file is open.
type Custodian struct {
	Card    Card
	private ed25519.PrivateKey
	reads   *age.HybridIdentity
}

func (*Custodian) String() string   { return "ceremony.Custodian(hidden)" }
func (*Custodian) GoString() string { return "ceremony.Custodian(hidden)" }

// keyFile is what a custodian's key file holds, under age with a passphrase:
// `age -d` opens it too.
type keyFile struct {
	Name string `json:"name"`
	Sign string `json:"sign"` // Ed25519 seed, hex
	Seal string `json:"seal"` // age identity
}

// NewCustodian makes a custodian and his key file. stretch is scrypt's work
// factor, 0 for the usual one.
func NewCustodian(name string, passphrase []byte, stretch int) (c *Custodian, file []byte, err error) {
	if len(passphrase) < passphraseBytesMin {
		return nil, nil, fmt.Errorf("%w has %d bytes, it must have at least %d", ErrPassphrase, len(passphrase), passphraseBytesMin)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	reads, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, nil, err
	}
	c = &Custodian{Card{name, hex.EncodeToString(public), reads.Recipient().String()}, private, reads}
	if err := c.Card.validate(); err != nil {
		return nil, nil, err
	}
	plaintext, err := json.Marshal(keyFile{name, hex.EncodeToString(private.Seed()), reads.String()})
	if err != nil {
		return nil, nil, err
	}
	lock, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, nil, err
	}
	if stretch == 0 {
		stretch = stretchDefault
	}
	lock.SetWorkFactor(stretch)
	file, err = ageSeal(plaintext, lock)
	return c, file, err
}

// OpenCustodian opens a key file, or gives ErrPassphrase.
func OpenCustodian(file, passphrase []byte) (*Custodian, error) {
	lock, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	plaintext, err := ageOpen(file, lock)
	if err != nil {
		return nil, fmt.Errorf("%w does not open the key file: %w. Nothing was changed", ErrPassphrase, err)
	}
	var k keyFile
	if err := decode(plaintext, &k); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCard, err)
	}
	seed, err := hex.DecodeString(k.Sign)
	reads, errReads := age.ParseHybridIdentity(k.Seal)
	if err != nil || errReads != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: a key of the key file", ErrCard)
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	c := &Custodian{Card{k.Name, hex.EncodeToString(public), reads.Recipient().String()}, private, reads}
	return c, c.Card.validate()
}

func ageSeal(plaintext []byte, to age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plaintext); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil { // it writes the end
		return nil, err
	}
	return b.Bytes(), nil
}

func ageOpen(sealed []byte, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), with)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, fileBytesMax))
}

// decode reads one JSON object with the fields of into, and no others.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a misspelt limit must not be one left out
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("it goes on after its JSON object")
	}
	return nil
}

// nameable: a name is shown, and names a folder.
func nameable(s string) bool {
	return s != "" && len(s) <= nameBytesMax && utf8.ValidString(s) && s[0] != '.' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`/\:`, r) })
}
