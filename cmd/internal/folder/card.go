package folder

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	cardBytesMax = 16 << 10
	cardTitle    = "STRONGROOM RECOVERY CARD"
	cardMargin   = " \t\r\n│|" // a card may be copied with its frame
)

// ErrCard: the text is not a recovery card.
var ErrCard = errors.New("this is not a recovery card")

// Card is what a person keeps to get the backup back on a new machine. No
// secret stands on it as we print it; by the 64-digit way the key is written
// there by hand.
type Card struct {
	Way        Way
	Repository string
	Vault      string
	Pin        string
	Account    string
}

// CardOf is the card of these settings.
func CardOf(s Settings) Card {
	c := Card{Way: s.Way, Repository: s.Repository.URL}
	if s.Way == ByPassword && s.Vault != nil {
		c.Vault, c.Pin, c.Account = s.Vault.URL, s.Vault.Pin, s.Vault.Account
	}
	return c
}

// Names of the card's lines.
const (
	lineRepository = "Backup"
	lineVault      = "Vault"
	linePin        = "Vault pin"
	lineAccount    = "Account"
	lineKey        = "Key"
)

// String is the card as text; ParseCard reads it back.
func (c Card) String() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-10s %s\n", name+":", value) }
	b.WriteString(cardTitle + "\n\n")
	line(lineRepository, c.Repository)
	if c.Way == ByPassword {
		line(lineVault, c.Vault)
		line(linePin, c.Pin)
		line(lineAccount, c.Account)
		b.WriteString("\nOn a new machine: strongroom restore --card THIS-FILE --to FOLDER\n" +
			"It asks for your password. The password is not on this card: keep it in\n" +
			"your head or in a password manager. Ten wrong ones destroy the vault's copy.\n")
		return b.String()
	}
	blanks := strings.TrimSpace(strings.Repeat("____ ", 4))
	line(lineKey, blanks)
	for range 3 {
		fmt.Fprintf(&b, "%10s %s\n", "", blanks)
	}
	b.WriteString("\nWrite the 64 digits of your key onto the lines above, by hand, and keep the\n" +
		"card where you keep your passport. Without the key nobody can open the backup,\n" +
		"and nobody can send you another one.\n" +
		"On a new machine: strongroom restore --card THIS-FILE --to FOLDER\n")
	return b.String()
}

// ParseCard reads a card back: the named lines, whatever stands around them.
func ParseCard(text string) (Card, error) {
	if len(text) > cardBytesMax {
		return Card{}, fmt.Errorf("%w: over %d bytes", ErrCard, cardBytesMax)
	}
	if !strings.Contains(text, cardTitle) {
		return Card{}, fmt.Errorf("%w: its title is missing", ErrCard)
	}
	c := Card{Way: ByKey}
	fields := map[string]*string{lineRepository: &c.Repository, lineVault: &c.Vault, linePin: &c.Pin, lineAccount: &c.Account}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.Trim(name, cardMargin), strings.Trim(value, cardMargin)
		into := fields[name]
		if into == nil {
			continue
		}
		if seen[name] {
			return Card{}, fmt.Errorf("%w: two lines %q", ErrCard, name)
		}
		if strings.ContainsFunc(value, func(c rune) bool { return !unicode.IsPrint(c) }) || !utf8.ValidString(value) {
			return Card{}, fmt.Errorf("%w: the line %q holds a character that can not be printed", ErrCard, name)
		}
		seen[name] = true
		*into = value
	}
	if seen[lineVault] || seen[linePin] || seen[lineAccount] {
		c.Way = ByPassword
	}
	switch {
	case c.Repository == "":
		return Card{}, fmt.Errorf("%w: no line %q", ErrCard, lineRepository)
	case c.Way == ByPassword && (c.Vault == "" || c.Pin == "" || c.Account == ""):
		return Card{}, fmt.Errorf("%w: the vault needs the lines %q, %q and %q", ErrCard, lineVault, linePin, lineAccount)
	}
	return c, nil
}
