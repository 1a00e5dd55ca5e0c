package terminal

import (
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

// A bar that waits counts down, and goes on when it works again.
func TestBarWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &screen{}
		term := &Terminal{Err: out, Out: out}
		show, done := term.Start("Backing up")
		term.bar.live = true
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
