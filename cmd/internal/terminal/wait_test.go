package terminal

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// take gives what was written since the last time.
func (s *screen) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

// A bar that waits counts down, and goes on when it works again.
func TestBarWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		term := &Terminal{Err: out, Out: out}
		show, done := term.Start("Backing up")
		term.bar.mu.Lock()
		term.bar.live = true
		term.bar.mu.Unlock()
		term.Wait("the storage answers 503", 3*time.Second)
		term.Wait("the storage answers 503", time.Second) // another worker's shorter wait does not end it
		time.Sleep(500 * time.Millisecond)
		show(Progress{BytesDone: 1, BytesTotal: 2})
		time.Sleep(3 * time.Second)
		show(Progress{BytesDone: 1, BytesTotal: 2})
		done()
		time.Sleep(2 * time.Second) // the counting ends with it
		lines := strings.Split(out.text.String(), "\r\x1b[K")
		for i, want := range []string{"", "503; trying again in 3 s", "503; trying again in 3 s", "503; trying again in 2 s", "503; trying again in 1 s", "50 %", ""} {
			if i >= len(lines) || !strings.Contains(lines[i], want) {
				t.Fatalf("line %d of %q: want %q", i, lines, want)
			}
		}
	})
}

// A display never stands still for a second, though it hears nothing more; it
// says what it heard last, and when.
func TestBarSpeaksByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		term := &Terminal{Err: out, Out: out, JSON: true}
		show, done := term.Start("Checking")
		time.Sleep(3 * time.Second) // before the first word there is nothing to say
		if said := out.take(); said != "" {
			t.Fatal(said)
		}
		show(Progress{Phase: "check", FilesDone: 7})
		before := -1.0
		for range 20 {
			time.Sleep(time.Second)
			synctest.Wait()
			said := strings.Split(strings.TrimSpace(out.take()), "\n")
			var last struct {
				FilesDone int64
				Seconds   float64
			}
			if err := json.Unmarshal([]byte(said[len(said)-1]), &last); err != nil || last.FilesDone != 7 || last.Seconds <= before {
				t.Fatalf("after %v s: %q %v", before, said, err)
			}
			before = last.Seconds
		}
		show(Progress{Phase: "check", FilesDone: 8})
		done()
		out.take()
		time.Sleep(5 * time.Second)
		if said := out.take(); said != "" {
			t.Error("it speaks on:", said)
		}
	})
}

// Without a screen many waits of many workers are a line now and then.
func TestPlainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		term := &Terminal{Err: out, Out: out}
		for range 60 {
			for range 4 {
				go term.Wait("the storage answers 503", time.Second)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := strings.Count(out.text.String(), "the storage answers 503; trying again in 1 s\n"); n < 5 || n > 7 {
			t.Errorf("%d lines in a minute: %q", n, out.text.String())
		}
	})
}
