package client

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Limits of a password.
const (
	PasswordRunesMin = 8    // NIST SP 800-63B §5.1.1.2: at least 8, no composition rules
	PasswordBytesMax = 1024 // far above the 64 characters that SP 800-63B wants allowed
	distinctRunesMin = 4    // fewer different characters than this is a pattern, not a password
)

var (
	// ErrPasswordText: the password holds something that can not be typed the
	// same way everywhere (a control character, say), or is empty or too long.
	ErrPasswordText = errors.New("this password can not be used")
	// ErrPasswordWeak: too short, or among the first that a thief tries.
	ErrPasswordWeak = errors.New("this password is too easy to guess")
)

// prepare gives the bytes that OPAQUE sees: the OpaqueString profile of
// RFC 8265 §4.2 (NFC, spaces unified), so that the same password typed on
// another keyboard gives the same bytes.
func prepare(password string) ([]byte, error) {
	if len(password) > PasswordBytesMax {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrPasswordText, PasswordBytesMax)
	}
	if password == "" {
		return nil, fmt.Errorf("%w: it is empty", ErrPasswordText)
	}
	b, err := precis.OpaqueString.Bytes([]byte(password))
	if err != nil {
		return nil, fmt.Errorf("%w: it holds a character that not every keyboard can type", ErrPasswordText)
	}
	return b, nil
}

// CheckPassword tells whether a password may be chosen for a new record. A
// vault that counts to ten makes eight good characters enough; it does not
// make "password" enough.
func CheckPassword(password, account string) error {
	b, err := prepare(password)
	if err != nil {
		return err
	}
	text := strings.ToLower(string(b))
	switch {
	case utf8.RuneCount(b) < PasswordRunesMin:
		return fmt.Errorf("%w: it needs at least %d characters", ErrPasswordWeak, PasswordRunesMin)
	case isCommon(text):
		return fmt.Errorf("%w: it is among the commonest passwords", ErrPasswordWeak)
	case isPattern(text):
		return fmt.Errorf("%w: it is one pattern repeated or counted on", ErrPasswordWeak)
	case account != "" && strings.Trim(text, "0123456789!.-_ ") == strings.ToLower(account):
		return fmt.Errorf("%w: it is the account's name", ErrPasswordWeak)
	}
	return nil
}

// commonText is one password a line, lower case, # begins a comment; its head
// names its source.
//
//go:embed common.txt
var commonText string

var common = readCommon(commonText)

func readCommon(text string) map[string]bool {
	m := make(map[string]bool)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			m[line] = true
		}
	}
	return m
}

// isCommon finds a listed word behind the usual decorations too: digits and
// signs at the end, letters written as digits.
func isCommon(text string) bool {
	plain := strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t").Replace(text)
	bare := strings.TrimRight(text, "0123456789!?.$#*_- ")
	return common[text] || common[plain] || common[bare] && len(text)-len(bare) <= 4
}

// isPattern: hardly any different characters, a short piece repeated, or
// characters that count up or down.
func isPattern(text string) bool {
	runes := []rune(text)
	seen := make(map[rune]bool)
	for _, r := range runes {
		seen[r] = true
	}
	if len(seen) < distinctRunesMin {
		return true
	}
	for n := 1; n <= len(runes)/2; n++ {
		if n <= 4 && len(runes)%n == 0 && strings.Repeat(string(runes[:n]), len(runes)/n) == text {
			return true
		}
	}
	return counts(runes, 1) || counts(runes, -1) || onKeyboard(text)
}

func counts(runes []rune, step rune) bool {
	for i := 1; i < len(runes); i++ {
		if runes[i]-runes[i-1] != step {
			return false
		}
	}
	return true
}

// rows of the keyboards that most people learn on, there and back.
var rows = []string{
	"1234567890-=", "=-0987654321", "qwertyuiop[]", "][poiuytrewq", "asdfghjkl;'", "';lkjhgfdsa", "zxcvbnm,./", "/.,mnbvcxz",
	"qwertzuiopü+", "azertyuiop", "yxcvbnm,.-", "qsdfghjklm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujm",
}

func onKeyboard(text string) bool {
	for _, row := range rows {
		if strings.Contains(row, text) || strings.Contains(row+row, text) {
			return true
		}
	}
	return false
}
