package main

import "testing"

func TestByteRate(t *testing.T) {
	for text, want := range map[string]byteRate{"0": 0, "8192": 8192, "500k": 500_000, "2M": 2_000_000, "1.5m": 1_500_000, "1G": 1_000_000_000, "2 MB/s": 2_000_000, "64kb": 64_000, "10b": 10} {
		var r byteRate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%q: %d, %v; want %d", text, r, err, want)
		}
	}
	for _, text := range []string{"", "fast", "-1", "1T", "1e300", "NaN", "k", "2MM"} {
		if err := new(byteRate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
