package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Strong writes around a text.
const (
	strongOn  = "\x1b[1m"
	strongOff = "\x1b[0m"
)

// tame makes text harmless to a screen. Attack: a file, a host or an answer
// of a server whose name holds escape sequences: it wipes the warning that
// names it, writes another, or sets the clipboard. What a screen obeys is
// written as an escape instead, but for line ends and what Strong wrote.
func tame(text string) string {
	if !strings.ContainsFunc(text, wild) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case strings.HasPrefix(text, strongOn), strings.HasPrefix(text, strongOff):
			n = len(strongOn)
			b.WriteString(text[:n])
		case r == utf8.RuneError && n == 1, wild(r) && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case wild(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// wild: a control character, or one that turns the direction of writing.
func wild(r rune) bool {
	return unicode.IsControl(r) && r != '\n' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Line is text for one line: tame, its line ends written as escapes. Attack: a
// file called "x\nThe backup is whole."
func Line(text string) string { return strings.ReplaceAll(tame(text), "\n", `\n`) }
