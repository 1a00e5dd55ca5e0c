package main

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]byteSize{"700": 700, "500M": 500e6, "1.5G": 15e8, "64Mi": 64 << 20, "2 GB": 2e9, "3kB": 3000, "3K": 3000, "1TiB": 1 << 40} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "M", "-1", "5i", "1e30", "0", "MM", "5X", "NaN", "0.2"} {
		var got byteSize
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
