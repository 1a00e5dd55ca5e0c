package terminal

import (
	"os"
	"strings"
	"unicode/utf8"
)

const columnsMax = 96 // longer lines are hard to read

// Para prints text for people, wrapped to the screen: the first line after
// first, the others after as many spaces.
func (t *Terminal) Para(first, text string) {
	t.Say("%s", wrap(first, text, min(columns(t.Out), columnsMax)))
}

func wrap(first, text string, width int) string {
	var b strings.Builder
	b.WriteString(first)
	margin := strings.Repeat(" ", utf8.RuneCountInString(first))
	at, fresh := utf8.RuneCountInString(first), true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case fresh:
		case at+1+n > width:
			b.WriteString("\n" + margin)
			at = len(margin)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, fresh = at+n, false
	}
	return b.String()
}

// Strong makes text stand out where the screen can.
func (t *Terminal) Strong(text string) string {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || t.JSON || !isTerminal(t.Out) {
		return text
	}
	return strongOn + text + strongOff
}
