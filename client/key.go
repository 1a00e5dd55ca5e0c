package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Lengths of a backup key.
const (
	KeyBytes       = 32
	keyDigits      = 2 * KeyBytes // as written: hexadecimal
	keyGroupDigits = 4
	keyTextMax     = 1024 // characters that ParseKey looks at
)

// Key is the backup key K. It refuses to print; Reveal writes it out.
type Key [KeyBytes]byte

// NewKey draws a key from the system's random source.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// Reveal is the key as 64 hexadecimal digits in 16 groups of four, with
// single spaces between: the form that goes on paper.
func (k Key) Reveal() string {
	digits := fmt.Sprintf("%x", k[:])
	var b strings.Builder
	for i := 0; i < len(digits); i += keyGroupDigits {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i : i+keyGroupDigits])
	}
	return b.String()
}

// IsZero tells a key that was never set.
func (k Key) IsZero() bool { return k == Key{} }

// String keeps the key out of logs and error texts.
func (Key) String() string { return redacted }

// GoString keeps the key out of %#v.
func (Key) GoString() string { return redacted }

// Format keeps the key out of every verb, %x too.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalJSON refuses: a key is written by Reveal or not at all.
func (Key) MarshalJSON() ([]byte, error) { return nil, errSecret }

const redacted = "[secret]"

var errSecret = errors.New("client: a secret is not for printing")

// ErrKeyText: a text that is not a 64-digit key. The error says where.
var ErrKeyText = errors.New("this is not a 64-digit key")

// ParseKey reads a typed key: spaces, dashes and line breaks fall away, upper
// case counts as lower, and the letters that hands write for digits are put
// right (o for 0, i and l for 1). Whatever else is wrong is ErrKeyText, which
// names the group (counted from 1) but never a digit.
func ParseKey(text string) (Key, error) {
	if len(text) > keyTextMax {
		return Key{}, fmt.Errorf("%w: it is longer than %d characters", ErrKeyText, keyTextMax)
	}
	groups := strings.FieldsFunc(strings.ToLower(text), func(c rune) bool { return strings.ContainsRune(" -\t\r\n\u00a0", c) })
	digits := strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(strings.Join(groups, ""))
	for i, c := range digits {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Key{}, fmt.Errorf("%w: near digit %d stands a character that is none of 0-9 and a-f", ErrKeyText, i+1)
		}
	}
	if n := len(digits); n != keyDigits {
		return Key{}, fmt.Errorf("%w: it has %d digits instead of %d%s", ErrKeyText, n, keyDigits, oddGroup(groups))
	}
	var k Key
	for i := range k {
		k[i] = digitValue(digits[2*i])<<4 | digitValue(digits[2*i+1])
	}
	return k, nil
}

// oddGroup names the first group that has not four digits, where the key was
// typed in groups.
func oddGroup(groups []string) string {
	for i, g := range groups {
		if len(groups) > keyDigits/keyGroupDigits/2 && len(g) != keyGroupDigits {
			return fmt.Sprintf("; group %d has %d", i+1, len(g))
		}
	}
	return ""
}

func digitValue(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
