package terminal

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Rhythm of what a running command says.
const (
	redrawEvery    = 100 * time.Millisecond
	plainLineEvery = 10 * time.Second // where there is no terminal
	jsonLineEvery  = time.Second
	barCells       = 28
	columnsDefault = 80
)

// Progress is how far a command is. Total 0 is not known yet.
type Progress struct {
	Phase       string `json:"phase"`
	FilesDone   int64  `json:"filesDone"`
	FilesTotal  int64  `json:"filesTotal"`
	BytesDone   int64  `json:"bytesDone"`
	BytesTotal  int64  `json:"bytesTotal"`
	BytesSent   int64  `json:"bytesSent"`
	CurrentName string `json:"current,omitempty"`
}

// bar is one progress display.
type bar struct {
	mu     sync.Mutex
	t      *Terminal
	title  string
	live   bool // drawn over and over in one line
	start  time.Time
	shown  time.Time // last time that something was printed
	drawn  bool      // there is a line on the screen
	closed bool
}

// Start begins a progress display; the returned show may be called from any
// goroutine, done ends the display.
func (t *Terminal) Start(title string) (show func(Progress), done func()) {
	now := time.Now()
	b := &bar{t: t, title: title, live: isTerminal(t.Err) && !t.JSON, start: now, shown: now}
	t.bar = b
	return b.show, b.done
}

func (b *bar) show(p Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.closed || now.Sub(b.shown) < b.rhythm() {
		return
	}
	b.shown = now
	switch {
	case b.t.JSON:
		_ = b.t.Event("progress", p) // a broken pipe ends the command by its result
	case b.live:
		b.drawn = true
		fmt.Fprint(b.t.Err, "\r\x1b[K"+fit(b.line(p), columns(b.t.Err)))
	default:
		fmt.Fprintln(b.t.Err, b.plain(p))
	}
}

func (b *bar) rhythm() time.Duration {
	switch {
	case b.t.JSON:
		return jsonLineEvery
	case b.live:
		return redrawEvery
	}
	return plainLineEvery
}

func (b *bar) line(p Progress) string {
	part := share(p)
	full := int(part * barCells)
	cells := strings.Repeat("█", full) + strings.Repeat("░", barCells-full)
	s := fmt.Sprintf("%s  %s %3.0f %%  %s", b.title, cells, part*100, Bytes(p.BytesDone))
	if p.BytesTotal > 0 {
		s += " of " + Bytes(p.BytesTotal)
	}
	s += "  " + Rate(p.BytesDone, time.Since(b.start))
	if left := b.left(part); left != "" {
		s += "  " + left + " left"
	}
	return s
}

func (b *bar) plain(p Progress) string {
	return fmt.Sprintf("%s: %.0f %%, %s, %s files", b.title, share(p)*100, Bytes(p.BytesDone), Number(int(p.FilesDone)))
}

// left guesses the remaining time, once there is something to guess from.
func (b *bar) left(part float64) string {
	took := time.Since(b.start)
	if part < 0.03 || took < 2*time.Second {
		return ""
	}
	return time.Duration(float64(took) * (1 - part) / part).Round(time.Second).String()
}

func (b *bar) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.wipe()
	b.t.bar = nil
}

func (b *bar) wipe() {
	if b.drawn {
		fmt.Fprint(b.t.Err, "\r\x1b[K")
		b.drawn = false
	}
}

// clear takes a bar off the screen before a line is printed.
func (t *Terminal) clear() {
	if b := t.bar; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wipe()
	}
}

func share(p Progress) float64 {
	if p.BytesTotal <= 0 {
		return 0
	}
	return min(1, float64(p.BytesDone)/float64(p.BytesTotal))
}

func fit(s string, columns int) string {
	if runes := []rune(s); len(runes) >= columns {
		return string(runes[:columns-1])
	}
	return s
}

// Fits tells whether text stands on the screen without breaking its lines;
// where there is no screen everything does.
func (t *Terminal) Fits(text string) bool {
	if !isTerminal(t.Out) {
		return true
	}
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > columns(t.Out) {
			return false
		}
	}
	return true
}

func columns(w any) int {
	if file, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(file.Fd())); err == nil && n > 20 {
			return n
		}
	}
	return columnsDefault
}
