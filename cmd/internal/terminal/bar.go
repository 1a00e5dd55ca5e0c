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
	jsonLineEvery  = time.Second / 2
	waitDrawEvery  = time.Second
	clockEvery     = time.Second / 4 // how often a display looks whether it is time to say again how far it is
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

// spoken is Progress as programs read it. The seconds tell two lines apart
// between which nothing was done.
type spoken struct {
	Progress
	Seconds float64 `json:"seconds"` // since the display began
}

// bar is one progress display. It says how far a command is whenever it hears
// so, and by its own clock where it hears nothing: a disk that writes for some
// seconds, or a system that lets others work, is no reason to stand still.
type bar struct {
	mu     sync.Mutex
	t      *Terminal
	title  string
	live   bool // drawn over and over in one line
	start  time.Time
	shown  time.Time // last time that something was printed
	drawn  bool      // there is a line on the screen
	closed bool
	latest *Progress     // nil before the first
	end    chan struct{} // closed by done

	why   string    // what the command waits for
	until time.Time // and until when; afterwards it works again
}

// Start begins a progress display; the returned show may be called from any
// goroutine, done ends the display.
func (t *Terminal) Start(title string) (show func(Progress), done func()) {
	now := time.Now()
	b := &bar{t: t, title: title, live: isTerminal(t.Err) && !t.JSON, start: now, shown: now, end: make(chan struct{})}
	t.mu.Lock()
	t.bar = b
	t.mu.Unlock()
	go b.clock()
	return b.show, b.done
}

// clock says again what was said last, until the display ends.
func (b *bar) clock() {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.end:
			return
		case <-tick.C:
		}
		b.mu.Lock()
		if b.latest != nil && time.Since(b.shown) >= b.patience() {
			b.print()
		}
		b.mu.Unlock()
	}
}

// Wait tells that the command waits: why, and for how long from now. On a
// screen the bar says so and counts down; elsewhere it is a line, now and
// then. Any goroutine may call it, with or without a display.
func (t *Terminal) Wait(why string, wait time.Duration) {
	until := time.Now().Add(wait)
	t.mu.Lock()
	b, quiet := t.bar, until.Before(t.waiting)
	if !quiet {
		t.waiting = time.Now().Add(max(wait, plainLineEvery))
	}
	t.mu.Unlock()
	if b != nil && b.live {
		b.wait(why, until)
		return
	}
	if quiet { // many workers wait for one storage
		return
	}
	_ = t.Event("waiting", map[string]any{"why": why, "seconds": wait.Seconds()}) // a broken pipe ends the command by its result
	t.Note("%s; trying again in %s", Line(why), Seconds(wait))
}

// wait has the bar say it, each second anew, as long as it lasts.
func (b *bar) wait(why string, until time.Time) {
	b.mu.Lock()
	counting := time.Now().Before(b.until)
	if until.After(b.until) {
		b.why, b.until = why, until
	}
	b.drawWait()
	b.mu.Unlock()
	if !counting {
		go b.count()
	}
}

func (b *bar) count() {
	for {
		time.Sleep(waitDrawEvery)
		b.mu.Lock()
		over := b.closed || time.Now().After(b.until)
		if !over {
			b.drawWait()
		}
		b.mu.Unlock()
		if over {
			return
		}
	}
}

// drawWait is called under mu.
func (b *bar) drawWait() {
	if left := time.Until(b.until); !b.closed && left > 0 {
		b.drawn = true
		fmt.Fprint(b.t.Err, "\r\x1b[K"+fit(fmt.Sprintf("%s  waits: %s; trying again in %s", b.title, Line(b.why), Seconds(left)), columns(b.t.Err)))
	}
}

func (b *bar) show(p Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest = &p
	if time.Since(b.shown) >= b.rhythm() {
		b.print()
	}
}

// print is called under mu.
func (b *bar) print() {
	now := time.Now()
	if b.closed || b.live && now.Before(b.until) {
		return
	}
	b.shown = now
	switch {
	case b.t.JSON:
		_ = b.t.Event("progress", spoken{*b.latest, now.Sub(b.start).Seconds()}) // a broken pipe ends the command by its result
	case b.live:
		b.drawn = true
		fmt.Fprint(b.t.Err, "\r\x1b[K"+fit(b.line(*b.latest), columns(b.t.Err)))
	default:
		fmt.Fprintln(b.t.Err, b.plain(*b.latest))
	}
}

// patience is how long a display lets nothing be said.
func (b *bar) patience() time.Duration { return max(b.rhythm(), jsonLineEvery) }

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
	if !b.closed {
		close(b.end)
	}
	b.closed = true
	b.wipe()
	b.t.mu.Lock()
	b.t.bar = nil
	b.t.mu.Unlock()
}

func (b *bar) wipe() {
	if b.drawn {
		fmt.Fprint(b.t.Err, "\r\x1b[K")
		b.drawn = false
	}
}

// clear takes a bar off the screen before a line is printed.
func (t *Terminal) clear() {
	t.mu.Lock()
	b := t.bar
	t.mu.Unlock()
	if b != nil {
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
