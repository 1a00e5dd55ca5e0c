package store

import (
	"errors"
	"strings"
	"testing"
)

// The contract tries names on every provider; here are the prefixes and spans.
func TestCheckPrefix(t *testing.T) {
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "-"} {
		if err := CheckPrefix(prefix); err != nil {
			t.Errorf("%q: %v", prefix, err)
		}
	}
	for _, prefix := range []string{"/", "/a", "a//", "a//b", ".", "../", "A", "a*", strings.Repeat("a", NameBytesMax+1)} {
		if err := CheckPrefix(prefix); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", prefix, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct{ offset, length, size, from, to int64 }{
		{0, -1, 10, 0, 10}, {0, 4, 10, 0, 4}, {3, 4, 10, 3, 7}, {8, 4, 10, 8, 10}, {10, 1, 10, 10, 10}, {11, -1, 10, 10, 10},
		{0, 0, 10, 0, 0}, {0, 1<<63 - 1, 10, 0, 10}, {1<<63 - 1, 1<<63 - 1, 10, 10, 10}, {5, -1, 0, 0, 0},
	} {
		if from, to := Span(c.offset, c.length, c.size); from != c.from || to != c.to {
			t.Errorf("Span(%d, %d, %d) = %d, %d; want %d, %d", c.offset, c.length, c.size, from, to, c.from, c.to)
		}
	}
}

// FuzzCheckName: what passes is safe as a path below a folder and as a URL.
func FuzzCheckName(f *testing.F) {
	f.Add("packs/ab-9")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) != nil {
			return
		}
		unsafe := strings.ContainsAny(name, ".\\:%?#* \x00") || strings.Contains(name, "//") || name != strings.Trim(name, "/") || len(name) == 0 || len(name) > 200
		if unsafe {
			t.Errorf("%q was taken", name)
		}
	})
}
